"""Sound tokenizers as users hold them, causal and not: lengths, streams, levels, pure functions, and bad input."""

import jax
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.partitioning import make_mesh
from magvit_jax.tokenizer.dac import Dac
from magvit_jax.tokenizer.sound_tokenizer import SoundTokenizer, unboxed_abstract_params
from magvit_jax.tokenizer.soundstream.codec import SoundStreamCodec

SOUNDSTREAM = SoundStreamCodec(channels=2, strides=(2, 3), latent_dim=4, levels=3, codebook_size=16)
DAC = Dac(
    encoder_channels=2,
    encoder_strides=(2, 3),
    latent_dim=8,
    decoder_channels=8,
    decoder_strides=(3, 2),
    levels=3,
    codebook_size=16,
    codebook_dim=3,
)
LATENTS = 300  # more than two windows of the codec that looks ahead


def tokenizer_of(model):
    draw = np.random.default_rng(3)
    shapes = unboxed_abstract_params(model)

    def value(path, leaf):
        if path[-1].key == "alpha":  # of a snake, which divides by it
            return draw.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        return draw.normal(size=leaf.shape, scale=0.3).astype(np.float32)

    params = jax.tree_util.tree_map_with_path(value, shapes)
    return SoundTokenizer(model, params, sample_rate=300, fingerprint="0")


@pytest.fixture(scope="module", params=[SOUNDSTREAM, DAC], ids=["soundstream", "dac"])
def tokenizer(request):
    return tokenizer_of(request.param)


@pytest.fixture(scope="module")
def audio():
    return np.random.default_rng(0).uniform(-0.5, 0.5, (2, 6 * LATENTS)).astype(np.float32)


@pytest.fixture(scope="module")
def ids(tokenizer, audio):
    return np.asarray(tokenizer.encode(audio))


@pytest.fixture(scope="module")
def whole(tokenizer, ids):
    return np.asarray(tokenizer.decode(ids))


def test_rates_and_shapes(tokenizer, audio, ids, whole):
    assert (tokenizer.samples_per_latent, tokenizer.latent_rate) == (6, 50.0)
    assert (tokenizer.levels, tokenizer.codes) == (3, 16)
    assert ids.shape == (2, LATENTS, 3) and ids.dtype == np.int32
    assert len(np.unique(ids)) > 8 and 0 <= ids.min() <= ids.max() < 16
    assert whole.shape == audio.shape and np.abs(whole).max() <= 1
    assert np.abs(whole[:, :-8]).max(1).min() > 0


def test_on_a_mesh_it_gives_the_same_ids(tokenizer, audio, ids):
    mesh = make_mesh({"data": 2}, jax.devices()[:2])
    spread = SoundTokenizer(tokenizer.model, tokenizer.params, tokenizer.sample_rate, mesh=mesh)
    found = spread.encode(audio)
    assert len(found.sharding.device_set) == 2
    assert (np.asarray(found) != ids).mean() < 1e-3


def test_streamed_decoding_is_whole_decoding(tokenizer, ids, whole):
    parts = np.split(ids, (7, 8, 200), axis=1)
    pieces = [np.asarray(piece) for piece in tokenizer.decode_stream(iter(parts), chunk=70)]
    assert [piece.shape[1] for piece in pieces] == [420, 420, 420, 420, 120]
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=1e-5)


def test_streamed_encoding_is_whole_encoding(tokenizer, audio, ids):
    short = audio[:, :-3]  # the last latent is filled up with silence in both
    parts = np.split(short, (5, 6, 600), axis=1)
    streamed = np.concatenate(list(tokenizer.encode_stream(parts, chunk=70)), axis=1)
    expected = np.asarray(tokenizer.encode(short))
    assert streamed.shape == expected.shape == ids.shape
    assert (streamed != expected).mean() < 1e-3  # where two codes are equally near, rounding decides


def test_silence_fills_the_last_latent(tokenizer, audio, ids):
    short = audio[:, :-3]
    padded = np.concatenate([short, np.zeros((2, 3), np.float32)], axis=1)
    np.testing.assert_array_equal(tokenizer.encode(short), tokenizer.encode(padded))
    np.testing.assert_array_equal(tokenizer.reconstruct(short), tokenizer.decode(tokenizer.encode(short))[:, :-3])


def without_codes(params, level):
    """Parameters whose codes of a level are zero."""
    if "codes_QKD" in params:
        return dict(params, codes_QKD=params["codes_QKD"].at[level].set(0.0))
    name = f"level_{level}"
    return dict(params, **{name: jax.tree.map(np.zeros_like, params[name])})


def test_fewer_levels_are_the_first_ones(tokenizer, ids):
    decode = jax.jit(tokenizer.decode_from_ids)
    coarse = decode(tokenizer.params, ids[..., :2])
    for level, used in enumerate((True, True, False)):
        found = decode(without_codes(tokenizer.params, level), ids[..., :2])
        assert np.array_equal(found, coarse) == (not used)


def test_pure_functions_are_those_of_the_methods(tokenizer, audio, ids, whole):
    encode, decode = jax.jit(tokenizer.encode_to_ids), jax.jit(tokenizer.decode_from_ids)
    np.testing.assert_array_equal(encode(tokenizer.params, audio), ids)
    np.testing.assert_array_equal(decode(tokenizer.params, ids), whole)
    other = jax.tree.map(lambda x: 1.1 * x, tokenizer.params)
    assert np.abs(decode(other, ids) - whole).max() > 1e-3  # of the parameters that are given


@pytest.mark.parametrize(
    "audio, message",
    [
        (np.zeros(12, np.float32), r"float32 \[12\]; expected floats \[B, S\]"),
        (np.zeros((1, 12), np.int16), "int16"),
        (np.zeros((1, 0), np.float32), "S above 0"),
        (np.full((1, 12), 32767.0, np.float32), "as large as 32767; expected -1 to 1"),
        (np.full((1, 12), np.nan, np.float32), "as large as nan"),
    ],
)
def test_what_is_no_sound_is_refused(tokenizer, audio, message):
    with pytest.raises(UserError, match=message):
        tokenizer.encode(audio)


@pytest.mark.parametrize(
    "ids, message",
    [
        (np.zeros((1, 4), int), r"expected integers \[B, f, 1 to 3 levels\]"),
        (np.zeros((1, 4, 4), int), "1 to 3 levels"),
        (np.full((1, 4, 3), 16), "16 to 16; expected 0 to 15"),
    ],
)
def test_what_are_no_ids_is_refused(tokenizer, ids, message):
    with pytest.raises(UserError, match=message):
        tokenizer.decode(ids)
    with pytest.raises(UserError, match=message):
        next(iter(tokenizer.decode_stream([ids])))


def test_a_chunk_below_one_latent_is_refused(tokenizer, ids):
    with pytest.raises(UserError, match="chunk is 0"):
        tokenizer.decode_stream([ids], chunk=0)
