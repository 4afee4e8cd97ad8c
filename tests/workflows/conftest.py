"""Tiny trained models, quick compilation, and a folder of good and bad files."""

import sys
from pathlib import Path

import numpy as np
import pytest

from magvit_jax.media.video_io import write_gif, write_mp4, write_png

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

import tiny_models  # noqa: E402
import toy_networks  # noqa: E402

from magvit_jax.evaluation import networks  # noqa: E402
from magvit_jax.pretrained import MissingWeights  # noqa: E402


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """`tiny.tokenizer` and `tiny.generator`: workdir, bundle, state, config. Read only."""
    return tiny_models.trained(tmp_path_factory)


@pytest.fixture(autouse=True)
def quick_compilation():
    with tiny_models.quick_compilation():
        yield


@pytest.fixture(scope="session")
def mixed(tmp_path_factory):
    """Good files of many shapes, a truncated one and one of no bytes. Read only."""
    folder = tmp_path_factory.mktemp("mixed")
    write_mp4(folder / "square.mp4", tiny_models.moving_square(11), fps=12)
    write_mp4(folder / "sub" / "portrait.mp4", tiny_models.moving_square(6, 48, 26, seed=1))
    write_gif(folder / "odd.gif", tiny_models.moving_square(5, 21, 33, seed=2))
    write_png(folder / "image.png", tiny_models.moving_square(1, 20, 24, seed=3)[0])
    write_png(folder / "alpha.png", np.full((17, 19, 4), 128, np.uint8))
    whole = (folder / "square.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "nothing.mp4").write_bytes(b"")
    (folder / "notes.txt").write_text("no video")
    return folder


@pytest.fixture
def toys(monkeypatch):
    """Toy networks in the place of all but that of CLIPSIM, whose weights are missing."""
    found = toy_networks.all_of_them()

    def missing(name, weights_dir):
        raise MissingWeights(f"{name}: no weights; expected {name}.safetensors in {weights_dir}")

    adapters = {name: lambda name, weights_dir: found[name] for name in found}
    monkeypatch.setattr(networks, "ADAPTERS", adapters | {"clip_vit_b16": missing})
