"""Bundles of frozen networks: found, written, checked; every mistake in one line."""

import dataclasses
import re

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from magvit_jax import pretrained
from magvit_jax.errors import UserError
from magvit_jax.pretrained import NETWORKS, MissingWeights, networks, weights
from magvit_jax.pretrained.lpips import ALEXNET
from magvit_jax.pretrained.networks import abstract_params

ALEX = NETWORKS["lpips_alex"]


@pytest.fixture(scope="module")
def arrays():
    shapes = abstract_params(networks.DEFINITIONS["lpips_alex"](np.float32))
    rng = np.random.default_rng(0)
    return {path: rng.normal(0, 0.05, leaf.shape).astype(np.float32) for path, leaf in shapes.items()}


@pytest.fixture
def folder(arrays, tmp_path):
    weights.write(arrays, ALEX, tmp_path)
    return tmp_path


def test_missing_weights_name_file_place_and_command(tmp_path, monkeypatch):
    monkeypatch.delenv(pretrained.ENVIRONMENT, raising=False)
    with pytest.raises(MissingWeights) as missing:
        pretrained.load("lpips_vgg", tmp_path)
    assert str(missing.value) == (
        f"lpips_vgg: no weights; expected lpips_vgg.safetensors in {tmp_path}, which `magvit convert "
        f"--source=lpips_vgg --checkpoint=FOLDER --output={tmp_path}` makes from vgg16-397923af.pth and "
        "vgg.pth (docs/pretrained.md)"
    )
    with pytest.raises(MissingWeights) as missing:
        pretrained.load("i3d")
    assert str(missing.value) == (
        "i3d: no weights; expected i3d.safetensors in a folder given by --weights-dir or MAGVIT_WEIGHTS, "
        "which `magvit convert --source=i3d --checkpoint=i3d_pretrained_400.pt --output=WEIGHTS` makes from "
        "i3d_pretrained_400.pt (docs/pretrained.md)"
    )
    with pytest.raises(UserError, match="^network 'i3' is unknown; expected one of i3d, c3d_ucf101, "):
        pretrained.load("i3")


def test_load_by_environment_and_by_argument(folder, arrays, tmp_path, monkeypatch):
    """The argument wins. The network computes with the bundle's numbers, and as a pure function the same."""
    monkeypatch.setenv(pretrained.ENVIRONMENT, str(tmp_path / "nowhere"))
    network = pretrained.load("lpips_alex", folder)
    monkeypatch.setenv(pretrained.ENVIRONMENT, str(folder))
    again = pretrained.load("lpips_alex")
    assert network.fingerprint == again.fingerprint == weights.fingerprint(arrays)
    np.testing.assert_array_equal(again.params["features_3"]["kernel"], arrays["features_3/kernel"])
    pixels = np.random.default_rng(0).integers(0, 256, (1, 35, 40, 3)).astype(np.uint8)
    found = network(pixels)
    assert [x.shape[-1] for x in found["maps"]] == [layer.features for layer in ALEXNET]
    np.testing.assert_array_equal(found["heads"][2], arrays["lin2"])
    same = again.apply(again.params, jnp.asarray(pixels, jnp.float32) / 255)
    for a, b in zip(found["maps"], same["maps"], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    narrow = pretrained.load("lpips_alex", folder, jnp.bfloat16)(pixels)
    assert all(x.dtype == jnp.bfloat16 for x in narrow["maps"])


def test_damaged_and_foreign_bundles_are_refused(folder, arrays, tmp_path):
    path = folder / ALEX.file
    whole = path.read_bytes()

    def refused():
        with pytest.raises(UserError) as error:
            pretrained.load("lpips_alex", folder)
        assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
        return str(error.value).removeprefix(f"{path}: ")

    path.write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])  # one bit of one weight
    assert re.match(r"damaged: the fingerprint of its arrays is \w{16}; expected \w{16}$", refused())
    for content in (whole[: len(whole) // 2], b"", b"hello"):
        path.write_bytes(content)
        assert refused().startswith("not readable as weights of lpips_alex: ")
    weights.write(arrays, dataclasses.replace(NETWORKS["i3d"], name="x"), tmp_path)
    path.write_bytes((tmp_path / "x.safetensors").read_bytes())
    assert refused() == "its network is 'x'; expected 'lpips_alex'"
    save_file(load_file(path), path)
    assert refused() == "its network is None; expected 'lpips_alex'"


def test_bundles_of_other_shapes_are_refused(arrays, tmp_path):
    for change, message in (
        ({"lin0": None}, r"parameter lin0 is absent; expected float32 \[64\]"),
        ({"lin0": np.zeros(63, np.float32)}, r"parameter lin0 is float32 \[63\]; expected float32 \[64\]"),
        ({"lin0": np.zeros(64)}, r"parameter lin0 is float64 \[64\]; expected float32 \[64\]"),
        ({"more": np.zeros(1, np.float32)}, r"parameter more is float32 \[1\]; expected absent"),
    ):
        changed = {path: value for path, value in (arrays | change).items() if value is not None}
        weights.write(changed, ALEX, tmp_path)
        with pytest.raises(UserError, match=message):
            pretrained.load("lpips_alex", tmp_path)


def test_writing_leaves_no_half_file(arrays, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="lpips_alex.safetensors: cannot be written: "):
        weights.write(arrays, ALEX, tmp_path / "file")
    path, mark = weights.write(arrays, ALEX, tmp_path / "new" / "folder")
    assert [entry.name for entry in path.parent.iterdir()] == ["lpips_alex.safetensors"]
    assert weights.read(path, ALEX)[1] == mark
