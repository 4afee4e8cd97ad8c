"""magvit convert and magvit export --format=torch-safetensors, on files; PyTorch's own files are in tests/oracles."""

import json
import sys
import types

import numpy as np
import pytest
from open_magvit2_keys import Settings, random_tensors
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from magvit_jax import bundles, load_tokenizer
from magvit_jax.cli.main import main
from magvit_jax.converters.checkpoint import read_tensors
from magvit_jax.errors import UserError

VIDEO = Settings(32, (2, 1), 1, 5, video=True)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "video.safetensors"
    average = {"model_ema." + key.replace(".", ""): value for key, value in random_tensors(VIDEO, 1).items()}
    save_file(random_tensors(VIDEO) | average, path)
    return path


def convert(checkpoint, output, *more):
    return main(
        ["convert", "--source=open-magvit2", f"--checkpoint={checkpoint}", f"--output={output}", *more]
    )


def test_convert_export_and_convert_again(checkpoint, tmp_path, capsys):
    first, file, second = tmp_path / "first", tmp_path / "sub" / "back.safetensors", tmp_path / "second"
    assert convert(checkpoint, first, "--weights=raw") == 0
    fingerprint = json.loads((first / "config.json").read_text())["fingerprint"]
    number = len(random_tensors(VIDEO))
    size = sum(value.size for value in random_tensors(VIDEO).values())
    assert capsys.readouterr().out == (
        f"tokenizer {fingerprint}: {size / 1e6:.1f}M parameters (raw weights; {number} other keys left out): {first}\n"
    )
    assert main(["export", f"--workdir={first}", f"--output={file}", "--format=torch-safetensors"]) == 0
    back, original = load_file(file), random_tensors(VIDEO)
    assert set(back) == set(original)
    for key, value in original.items():
        np.testing.assert_array_equal(back[key], value)
    with safe_open(file, "numpy") as opened:
        assert opened.metadata() == {"format": "pt"}
    assert convert(file, second) == 0
    assert bundles.read(second).config == bundles.read(first).config  # the fingerprint covers every weight


def test_the_bundle_is_a_tokenizer_and_takes_the_moving_average(checkpoint, tmp_path):
    assert convert(checkpoint, tmp_path / "bundle") == 0
    tokenizer = load_tokenizer(tmp_path / "bundle")
    np.testing.assert_array_equal(
        np.asarray(tokenizer.params["decoder"]["norm_out"]["bias"]),
        random_tensors(VIDEO, 1)["decoder.norm_out.bias"],
    )
    assert tokenizer.clip.shape == (9, 32, 32) and not tokenizer.model.causal
    video = np.random.default_rng(0).uniform(size=(1, 5, 8, 8, 3)).astype(np.float32)
    ids = tokenizer.encode(video)
    assert ids.shape == (1, 3, 4, 4) and len(np.unique(ids)) > 4
    assert tokenizer.decode(ids).shape == video.shape


def test_exporting_a_bundle_as_a_bundle_copies_it(checkpoint, tmp_path):
    assert convert(checkpoint, tmp_path / "first") == 0
    assert main(["export", f"--workdir={tmp_path / 'first'}", f"--output={tmp_path / 'second'}"]) == 0
    first, second = (bundles.read(tmp_path / name) for name in ("first", "second"))
    assert first.config == second.config


def mistakes(checkpoint, tmp_path):
    tensors = load_file(checkpoint)
    tensors.pop("model_ema.encodermid_block0conv1conv_1weight")
    save_file(tensors, tmp_path / "hole.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(checkpoint.read_bytes()[:-100])
    (tmp_path / "cut2.safetensors").write_bytes(checkpoint.read_bytes()[:100])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "weights.h5").write_bytes(b"x")
    save_file({"decoder.conv_in.weight": np.zeros((3, 3), np.float32)}, tmp_path / "other.safetensors")
    return [
        ("hole.safetensors", "hole.safetensors: key model_ema.encodermid_block0conv1conv_1weight is missing"),
        ("cut.safetensors", "cut.safetensors: not readable as safetensors: "),
        ("cut2.safetensors", "cut2.safetensors: not readable as safetensors: "),
        ("empty.safetensors", "empty.safetensors: not readable as safetensors: "),
        ("absent.ckpt", "absent.ckpt: no such file; expected a checkpoint"),
        (
            "weights.h5",
            "weights.h5: ends in '.h5'; expected a checkpoint that ends in one of .ckpt, .pt, .pth, .bin, .safet",
        ),
        (
            "other.safetensors",
            "other.safetensors: key encoder.conv_in.weight is missing; expected a tokenizer of Open-MAGVIT2",
        ),
    ]


def test_a_mistake_is_one_line_and_writes_nothing(checkpoint, tmp_path, capsys):
    for name, message in mistakes(checkpoint, tmp_path):
        assert convert(tmp_path / name, tmp_path / "bundle") == 2
        error = capsys.readouterr().err
        assert error.startswith("magvit: error: ") and error.count("\n") == 1 and message in error
    assert not (tmp_path / "bundle").exists()


def test_a_tokenizer_of_the_thesis_has_no_open_magvit2_names(tiny, tmp_path, capsys):
    export = ["export", "--format=torch-safetensors"]
    for model, name, message in (
        (
            tiny.tokenizer.workdir,
            "x.safetensors",
            f"{tiny.tokenizer.workdir}: model.patch is 4; Open-MAGVIT2's names need 1",
        ),
        (tiny.tokenizer.bundle, "x", "x: torch-safetensors is one file; its name has to end in .safetensors"),
        (tiny.generator.bundle, "x.safetensors", "holds a generator; torch-safetensors takes a tokenizer"),
    ):
        assert main([*export, f"--workdir={model}", f"--output={tmp_path / name}"]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_torch_the_extra_is_named(tmp_path, monkeypatch):
    path = tmp_path / "model.ckpt"
    path.write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        UserError, match=r"model.ckpt: reading it needs PyTorch.*pip install 'magvit_jax\[torch\]'"
    ):
        read_tensors(path)
    # Before 2.10 a crafted file gets around PyTorch's own safe loader.
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(__version__="2.9.1+cpu"))
    with pytest.raises(
        UserError, match="PyTorch 2.9.1.cpu does not read pickles safely; expected 2.10 or newer"
    ):
        read_tensors(path)
