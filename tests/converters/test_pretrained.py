"""Published weights of frozen networks as bundles: keys, layouts, refusals, and the command."""

import dataclasses
import hashlib
import math

import numpy as np
import pytest
from safetensors.numpy import save_file

from magvit_jax import pretrained
from magvit_jax.cli.main import main
from magvit_jax.converters.checkpoint import read_tensors
from magvit_jax.converters.pretrained import CONVERTERS, Source, by_name, c3d, lpips, resnet
from magvit_jax.converters.pretrained import files as published
from magvit_jax.errors import UserError
from magvit_jax.pretrained import NETWORKS
from magvit_jax.pretrained.networks import DEFINITIONS, abstract_params

KEYS = {
    "i3d": by_name.key_of,
    "inception": by_name.key_of,
    "resnet50": resnet.key_of,
    "lpips_alex": lpips.key_of,
}
#: Number of tensors in the published file but counters and layers left out, and some of their keys.
PUBLISHED = {
    "i3d": (287, ["Conv3d_1a_7x7.conv3d.weight", "Mixed_5c.b2b.bn.running_var", "logits.conv3d.bias"]),
    "inception": (472, ["Conv2d_2b_3x3.bn.running_mean", "Mixed_6e.branch7x7dbl_5.conv.weight", "fc.weight"]),
    "resnet50": (267, ["conv1.weight", "bn1.bias", "layer3.5.conv2.weight", "layer4.0.downsample.1.weight"]),
    "lpips_alex": (10, ["features.0.weight", "features.10.bias"]),
}


def leaves(name):
    """Shapes by path of what the network's first file holds."""
    expected = abstract_params(DEFINITIONS[name](np.float32))
    return {path: leaf.shape for path, leaf in expected.items() if not path.startswith("lin")}


def theirs(name, value=None):
    """The published file's tensors; by default of numbers that nothing is stored for."""
    tensors = {}
    for path, shape in leaves(name).items():
        axes = {5: (4, 3, 0, 1, 2), 4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[len(shape)]
        shape = tuple(shape[axis] for axis in axes)
        number = np.broadcast_to(np.float32(0), shape) if value is None else value(shape)
        tensors[KEYS[name](path)] = number
    return tensors


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_keys(name):
    """267 is the number of entries of torchvision's file of ResNet-50 without its 53 counters."""
    number, some = PUBLISHED[name]
    keys = theirs(name).keys()
    assert len(keys) == number and set(some) <= keys


def test_layouts_element_by_element():
    rng = np.random.default_rng(0)
    weights = theirs("i3d", lambda shape: rng.random(shape, np.float32))
    weights |= {"Mixed_3b.b0.bn.num_batches_tracked": np.int64(7)}
    found = CONVERTERS["i3d"](Source(weights, "x"))
    out, into, t, h, w = 5, 2, 6, 1, 3
    assert found["Conv3d_1a_7x7/conv3d/kernel"][t, h, w, into, out] == (
        weights["Conv3d_1a_7x7.conv3d.weight"][out, into, t, h, w]
    )
    leaves = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
    for ours, key in leaves.items():
        np.testing.assert_array_equal(found[f"Mixed_4d/b2a/bn/{ours}"], weights[f"Mixed_4d.b2a.bn.{key}"])
    assert all(value.flags.c_contiguous and value.flags.owndata for value in found.values())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, r"is missing; expected a tensor \[64\]"),
        (np.zeros(65, np.float32), r"is \[65\]; expected \[64\]"),
        (np.zeros(64, np.int32), "is int32; expected a tensor of floats"),
        (np.full(64, np.nan, np.float32), "holds NaN or infinity"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_first_key(value, message):
    weights = theirs("lpips_alex") | {"features.0.bias": value}
    weights = {key: value for key, value in weights.items() if value is not None}
    with pytest.raises(UserError, match=f"^some.pth: key features.0.bias {message}"):
        CONVERTERS["lpips_alex"](Source(weights, "some.pth"), Source({}, "heads.pth"))


def test_keys_in_excess_are_refused():
    weights = theirs("lpips_alex") | {"features.12.weight": np.zeros(1, np.float32)}
    with pytest.raises(UserError, match="^x: key features.12.weight is none of this network"):
        CONVERTERS["lpips_alex"](Source(weights, "x"), Source({}, "heads.pth"))
    with pytest.raises(UserError, match=r"^heads.pth: key lin\d.model.1.weight is missing"):
        CONVERTERS["lpips_alex"](Source(alexnet(), "x"), Source({}, "heads.pth"))


def test_c3d_flattens_as_chainer_does_and_cuts_the_mean():
    """fc6 sees channel, row, column there, and row, column, channel here."""
    channel, row, column = 300, 2, 1
    fc6 = np.zeros((8192, 2), np.float32)
    fc6[channel * 16 + row * 4 + column, 1] = 5
    assert np.argwhere(c3d.channels_last(fc6)).tolist() == [[(row * 4 + column) * 512 + channel, 1]]
    mean = np.random.default_rng(0).random((3, 16, 128, 171), np.float32)
    for given in (mean, mean[:, None], mean[None]):
        found = c3d.mean_clip(Source({"mean": given}, "mean.npz"))
        assert found.shape == (16, 112, 112, 3) and found[3, 5, 7, 1] == mean[1, 3, 13, 15]
    for wrong, message in (
        ({}, "key mean is missing"),
        ({"mean": mean[..., 1:]}, r"key mean is \[3, 16, 128, 170\]; expected \[3, 16, 128, 171\]"),
        ({"mean": "text"}, "key mean is str; expected a tensor of floats"),
    ):
        with pytest.raises(UserError, match=f"^mean.npz: {message}"):
            c3d.mean_clip(Source(wrong, "mean.npz"))


def without_digests(monkeypatch, name, sources=None):
    """The row as if nobody had published a SHA-256, so that other files can stand in."""
    row = NETWORKS[name]
    sources = sources or tuple(dataclasses.replace(source, sha256="") for source in row.sources)
    monkeypatch.setitem(NETWORKS, name, dataclasses.replace(row, sources=sources))
    return NETWORKS[name]


def alexnet():
    rng = np.random.default_rng(0)

    def random(shape):
        return rng.normal(0, (2 / math.prod(shape[1:])) ** 0.5, shape).astype(np.float32)

    return theirs("lpips_alex", random) | {"classifier.1.weight": np.zeros((3, 3), np.float32)}


def test_convert_then_load(tmp_path, monkeypatch, capsys):
    """A network of two files, by the command, as .npz and .safetensors."""
    row = NETWORKS["lpips_alex"]
    names = ("trunk.safetensors", "heads.npz")
    sources = tuple(
        dataclasses.replace(source, name=name, sha256="")
        for source, name in zip(row.sources, names, strict=True)
    )
    without_digests(monkeypatch, "lpips_alex", sources)
    folder, output = tmp_path / "published", tmp_path / "weights"
    command = ["convert", "--source=lpips_alex", f"--checkpoint={folder}", f"--output={output}"]
    folder.mkdir()
    save_file(alexnet(), folder / names[0])
    assert main(command) == 2
    message = f"{folder / names[1]}: no such file; expected the published weights of AlexNet"
    assert message in capsys.readouterr().err
    widths = enumerate((64, 192, 384, 256, 256))
    heads = {
        f"lin{number}.model.1.weight": np.full((1, width, 1, 1), number, np.float32)
        for number, width in widths
    }
    np.savez(folder / names[1], **heads)
    assert main(command) == 0
    network = pretrained.load("lpips_alex", output)
    assert capsys.readouterr().out == (
        f"lpips_alex {network.fingerprint}: 2.5M values: {output / 'lpips_alex.safetensors'}\n"
    )
    assert network.params["lin3"].tolist() == [3.0] * 256
    assert main([*command, "--weights=ema"]) == 2
    assert "--weights=ema: lpips_alex has only one set of weights" in capsys.readouterr().err
    assert main([*command[:2], f"--checkpoint={folder / names[0]}", command[3]]) == 2
    assert "trunk.safetensors: not a folder; expected the folder that holds trunk" in capsys.readouterr().err


def test_only_the_published_file_is_taken(tmp_path):
    row = NETWORKS["resnet50"]
    path = tmp_path / "any_name.pth"
    path.write_bytes(b"other bytes")
    message = r"any_name.pth: its SHA-256 is \w{64}; expected 0676ba61\w{56} of resnet50-"
    with pytest.raises(UserError, match=message):
        published.read(row, path)
    right = dataclasses.replace(row.sources[0], sha256=hashlib.sha256(b"other bytes").hexdigest()[:8])
    published.require_published(right, path)


def test_numpy_files_are_read_without_pickle(tmp_path):
    path = tmp_path / "file.npz"
    np.savez(path, a=np.asarray([{"no": "tensor"}], dtype=object))
    with pytest.raises(UserError, match="file.npz: not readable as arrays of NumPy: Object arrays"):
        read_tensors(path)
    np.savez(path, a=np.arange(3.0))
    whole = path.read_bytes()
    assert read_tensors(path)["a"].tolist() == [0, 1, 2]
    for content in (whole[:40], whole[:-30], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="file.npz: not readable as arrays of NumPy"):
            read_tensors(path)


def test_published_heads_of_lpips(real_data):
    """The files of the package lpips: digests of the table, and what they do to a random trunk."""
    pytest.importorskip("torch", reason="needs the extra `torch`")
    folder = real_data / "metrics" / "lpips_linear"
    if not folder.is_dir():
        pytest.skip(f"no heads of LPIPS at {folder}")
    for name, widths in (("alex", (64, 192, 384, 256, 256)), ("vgg", (64, 128, 256, 512, 512))):
        heads = NETWORKS[f"lpips_{name}"].sources[1]
        path = folder / heads.name
        published.require_published(heads, path)
        tensors = read_tensors(path)
        assert [value.shape for value in tensors.values()] == [(1, width, 1, 1) for width in widths]
    tensors = read_tensors(folder / "alex.pth")
    arrays = CONVERTERS["lpips_alex"](Source(alexnet(), "trunk"), Source(tensors, "heads"))
    assert all(arrays[f"lin{number}"].min() >= 0 and arrays[f"lin{number}"].max() > 0 for number in range(5))
    np.testing.assert_array_equal(arrays["lin0"], tensors["lin0.model.1.weight"].ravel())
