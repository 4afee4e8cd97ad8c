"""The shipped mini scale, shrunk once more so that a test trains in seconds."""

import dataclasses
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

import tiny_models  # noqa: E402
import toy_networks  # noqa: E402

from magvit_jax.evaluation import networks  # noqa: E402
from magvit_jax.experiments import mini, runs  # noqa: E402
from magvit_jax.pretrained import MissingWeights  # noqa: E402

#: Of the recipe that is really trained here: one level down and up of four channels.
TINY = (
    "data.height=16", "data.width=16", "data.batch_size=8", "data.size=64", "model.base_channels=4",
    "model.channel_multipliers=(1,1)", "model.strides=((1,4,4),)", "model.norm_groups=2", "model.blocks=1",
    "model.mid_blocks=0", "model.adaptive_norm=none",
)  # fmt: skip


@pytest.fixture
def tiny_scale():
    """Two steps and ten clips; and Tab. 5.7d's models with a few channels."""
    shipped = mini.load()
    cifar = shipped.groups["cifar"]
    groups = dict(shipped.groups, cifar=dataclasses.replace(cifar, set=(*cifar.set, *TINY)))
    return dataclasses.replace(shipped, groups=groups, steps=2, clips=10)


@pytest.fixture
def trained(monkeypatch):
    """Trains without progress lines; gives the names of the folders, in the order of training."""
    names = []

    def quiet(config, workdir):
        names.append(Path(workdir).name)
        return tiny_models.quiet_train(config, workdir)

    monkeypatch.setattr(runs, "train", quiet)
    return names


@pytest.fixture(autouse=True)
def quick_compilation():
    with tiny_models.quick_compilation():
        yield


@pytest.fixture
def toys(monkeypatch):
    """Toy networks in the place of all but that of LPIPS, whose weights are missing."""
    found = toy_networks.all_of_them()

    def missing(name, weights_dir):
        raise MissingWeights(f"{name}: no weights; expected {name}.safetensors in {weights_dir}")

    adapters = {name: lambda name, weights_dir: found[name] for name in found}
    monkeypatch.setattr(networks, "ADAPTERS", adapters | dict.fromkeys(("lpips_alex", "lpips_vgg"), missing))


@pytest.fixture(scope="session")
def different():
    """A function: the fields in which two configs differ, or that one of them has not; without the name."""

    def flat(config, prefix=""):
        items = {}
        for key, value in config.items():
            items |= flat(value, f"{prefix}{key}.") if hasattr(value, "items") else {prefix + key: value}
        return items

    def fields(a, b):
        a, b = flat(a), flat(b)
        return {key for key in a | b if a.get(key, ...) != b.get(key, ...)} - {"name"}

    return fields
