"""The Descript audio codec: its keys, its refusals, and its numbers against a PyTorch twin."""

import flax.traverse_util
import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

import magvit_jax
from magvit_jax.cli.main import main
from magvit_jax.converters import dac as converter
from magvit_jax.converters.checkpoint import read_tensors
from magvit_jax.errors import UserError
from magvit_jax.tokenizer.dac import Dac, abstract_params

TINY = dict(
    encoder_channels=2,
    encoder_strides=[2, 5],
    latent_dim=8,
    decoder_channels=8,
    decoder_strides=[5, 2],
    levels=2,
    codebook_size=16,
    codebook_dim=3,
)
RELEASED = Dac(
    encoder_channels=64,
    encoder_strides=[2, 4, 5, 8],
    latent_dim=1024,
    decoder_channels=1536,
    decoder_strides=[8, 5, 4, 2],
    levels=12,
    codebook_size=1024,
    codebook_dim=8,
)


def random_tensors(fields, levels):
    """Tensors of the codec's keys with `levels` levels, filled at random."""
    draw = np.random.default_rng(0)
    model = Dac(**{**fields, "levels": levels})
    tensors = {}
    for path, leaf in flax.traverse_util.flatten_dict(abstract_params(model), sep="/").items():
        keys = converter.keys_of(path, model)
        shape = leaf.shape
        if path.endswith("/alpha"):
            shape = (1, *shape, 1)
        elif path.endswith("/kernel"):
            taps, inputs, outputs = shape
            shape = (inputs, outputs, taps) if "_up/" in path else (outputs, inputs, taps)
            tensors[keys[1]] = draw.uniform(0.5, 1.5, (shape[0], 1, 1)).astype(np.float32)
        tensors[keys[0]] = draw.normal(size=shape).astype(np.float32)
    return tensors


def test_the_released_model_by_its_keys_and_shapes():
    paths = flax.traverse_util.flatten_dict(abstract_params(RELEASED), sep="/")
    keys = {path: converter.keys_of(path, RELEASED) for path in paths}
    assert keys["encoder/block0_unit1/snake1/alpha"] == ["encoder.block.1.block.1.block.0.alpha"]
    assert keys["encoder/block3_down/bias"] == ["encoder.block.4.block.4.bias"]
    assert keys["encoder/snake_out/alpha"] == ["encoder.block.5.alpha"]
    assert keys["decoder/block1_up/kernel"] == ["decoder.model.2.block.1.weight_v", "decoder.model.2.block.1.weight_g"]
    assert keys["decoder/block0_unit2/conv2/bias"] == ["decoder.model.1.block.4.block.3.bias"]
    assert keys["decoder/conv_out/bias"] == ["decoder.model.6.bias"]
    assert keys["level_11/in_proj/bias"] == ["quantizer.quantizers.11.in_proj.bias"]
    assert keys["level_0/codebook"] == ["quantizer.quantizers.0.codebook.weight"]
    flat = [key for both in keys.values() for key in both]
    assert len(set(flat)) == len(flat)
    assert 73e6 < sum(leaf.size for leaf in paths.values()) < 78e6  # the paper's 76M, of which 12 levels
    assert RELEASED.samples_per_latent == 320


def test_sizes_and_levels_are_read_off_the_tensors():
    tensors = random_tensors(TINY, levels=12)
    converted = converter.from_tensors(tensors, "weights.pth", levels=2)
    assert converted.model == TINY and converted.levels == 12
    assert converted.params["decoder"]["block0_up"]["kernel"].shape == (10, 8, 4)
    v, g = (tensors[f"encoder.block.0.weight_{part}"] for part in "vg")
    expected = v[1, 0] * g[1, 0, 0] / np.linalg.norm(v[1])
    np.testing.assert_allclose(converted.params["encoder"]["conv_in"]["kernel"][:, 0, 1], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.pop("encoder.block.1.block.4.weight_g"), "encoder.block.1.block.4.weight_g is missing"),
        (lambda t: t.update({"extra.weight": np.zeros(1)}), "extra.weight is none of"),
        (lambda t: t.update({"decoder.model.0.bias": np.zeros(3, np.float32)}), "decoder.model.0.bias gives"),
        (lambda t: t.update({"decoder.model.0.bias": np.full(8, np.nan)}), "NaN"),
        (lambda t: t.update({"decoder.model.0.bias": np.zeros(8, int)}), "expected a tensor of floats"),
        (lambda t: t.clear(), "has 0 levels"),
    ],
)
def test_a_key_that_does_not_fit_is_named(change, message):
    tensors = random_tensors(TINY, levels=12)
    change(tensors)
    with pytest.raises(UserError, match=f"weights.pth.*{message}"):
        converter.from_tensors(tensors, "weights.pth", levels=2)


@pytest.mark.parametrize("levels, message", [(2, "has 2 levels; expected 4"), (9, "has 9 levels; expected 12.*16 kHz")])
def test_codecs_of_other_rates_are_refused(levels, message):
    with pytest.raises(UserError, match=message):
        converter.from_tensors(random_tensors(TINY, levels=levels), "weights.pth")


def test_convert_writes_a_bundle_that_loads_as_a_sound_tokenizer(tmp_path, capsys):
    tensors = random_tensors(dict(TINY, levels=4), levels=12)
    save_file(tensors, tmp_path / "weights.safetensors")
    arguments = ["convert", "--source=dac", f"--checkpoint={tmp_path / 'weights.safetensors'}"]
    assert main([*arguments, f"--output={tmp_path / 'dac'}"]) == 0
    assert "(the first 4 of 12 levels)" in capsys.readouterr().out
    tokenizer = magvit_jax.load_sound_tokenizer(tmp_path / "dac")
    assert (tokenizer.sample_rate, tokenizer.samples_per_latent) == (16_000, 10)
    assert (tokenizer.levels, tokenizer.codes) == (4, 16)
    codebook = tokenizer.params["level_3"]["codebook"]
    np.testing.assert_array_equal(codebook, tensors["quantizer.quantizers.3.codebook.weight"])
    with pytest.raises(UserError, match="holds a sound_tokenizer; expected a tokenizer"):
        magvit_jax.load_tokenizer(tmp_path / "dac")
    assert main([*arguments, f"--output={tmp_path / 'x'}", "--weights=ema"]) == 2
    assert "only one set" in capsys.readouterr().err
    assert main(["convert", "--source=dac", "--checkpoint=absent.pth", f"--output={tmp_path / 'x'}"]) == 2
    assert "absent.pth: no such file; expected the codec's weights_16khz.pth" in capsys.readouterr().err


@pytest.mark.oracle
def test_ids_and_samples_are_those_of_the_pytorch_twin(tmp_path, request):
    torch = pytest.importorskip("torch")
    import sys

    sys.path.insert(0, str(request.path.parent))
    import dac_twin

    torch.manual_seed(0)
    twin = dac_twin.Twin(encoder=2, strides=(2, 5), decoder=8, levels=12, size=16, dim=3).eval()
    path = tmp_path / "weights_16khz.pth"
    torch.save({"state_dict": twin.state_dict(), "metadata": {"kwargs": {"encoder_dim": 2}}}, path)
    converted = converter.from_tensors(read_tensors(path), str(path), levels=2)
    assert converted.model == TINY
    model, variables = Dac(**converted.model), {"params": converted.params}
    audio = np.random.default_rng(1).normal(scale=0.3, size=(2, 160)).astype(np.float32)
    with torch.no_grad():
        theirs = twin.encode(torch.tensor(audio), levels=2)
        sound = twin.decode(theirs).numpy()
        coarse = twin.decode(theirs[..., :1]).numpy()
    ours = jax.jit(lambda v, x: model.apply(v, x, method="encode_to_ids"))(variables, audio)
    assert len(np.unique(ours)) > 4
    np.testing.assert_array_equal(ours, theirs)
    decode = jax.jit(lambda v, ids: model.apply(v, ids, method="decode_from_ids"))
    np.testing.assert_allclose(decode(variables, ours), sound, atol=1e-4)
    np.testing.assert_allclose(decode(variables, ours[..., :1]), coarse, atol=1e-4)
    assert sound.shape == (2, 160 - 2)  # an odd stride loses a sample, which the next stride doubles
