"""SoundStream's network: lengths, causality, streams, and the published size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.nn.stream import STREAM
from magvit_jax.partitioning import unbox
from magvit_jax.tokenizer.soundstream.layers import CausalUpsample1D
from magvit_jax.tokenizer.soundstream.model import SoundStream, decode_stream, encode_stream

TINY = SoundStream(channels=2, strides=(2, 3), latent_dim=4)
LATENTS = 6


@pytest.fixture(scope="module")
def params():
    shapes = jax.eval_shape(TINY.init, jax.random.key(0), jnp.zeros((1, 6 * LATENTS)))["params"]
    draw = np.random.default_rng(3)  # drawing them here saves compiling the draws

    def values(leaf):
        return draw.normal(size=leaf.shape, scale=0.3).astype(np.float32)

    return jax.tree.map(values, unbox(shapes))


@pytest.fixture(scope="module")
def audio():
    return np.random.default_rng(0).normal(size=(2, 6 * LATENTS)).astype(np.float32)


@pytest.fixture(scope="module")
def latents():
    return np.random.default_rng(1).normal(size=(2, LATENTS, 4)).astype(np.float32)


def dependence(function, x):
    """bool [outputs, inputs]: which output's gradient by which input is not exactly zero."""
    jacobian = jax.jit(jax.jacrev(lambda x: function(x[None])[0]))(x[0])
    return np.asarray(jacobian)


def test_latents_see_no_sample_after_their_own(params, audio):
    def encode(x):
        return TINY.apply({"params": params}, x, method="encode").sum(-1)

    slopes = dependence(encode, audio) != 0  # [latents, samples]
    for i in range(LATENTS):
        assert not slopes[i, 6 * (i + 1) :].any()
        assert slopes[i, 6 * (i + 1) - 1]  # up to the last one of its own


def test_samples_see_no_latent_after_their_own(params, latents):
    def decode(z):
        return TINY.apply({"params": params}, z, method="decode")

    slopes = (dependence(decode, latents) != 0).any(-1)  # [samples, latents]
    for s in range(6 * LATENTS):
        assert not slopes[s, s // 6 + 1 :].any()
        assert slopes[s, s // 6]


def test_streamed_decoding_is_whole_decoding(params, latents):
    whole = jax.jit(lambda z: TINY.apply({"params": params}, z, method="decode"))(latents)
    chunks = list(decode_stream(TINY, params, np.split(latents, (1, 2), axis=1)))
    assert [chunk.shape[1] for chunk in chunks] == [6, 6, 6 * (LATENTS - 2)]
    np.testing.assert_allclose(np.concatenate(chunks, axis=1), whole, atol=1e-6)


def test_streamed_encoding_is_whole_encoding(params, audio):
    whole = jax.jit(lambda x: TINY.apply({"params": params}, x, method="encode"))(audio)
    chunks = list(encode_stream(TINY, params, np.split(audio, (12, 24), axis=1)))
    np.testing.assert_allclose(np.concatenate(chunks, axis=1), whole, atol=1e-6)


def test_what_a_stream_carries_does_not_grow(params):
    def carried(latents):
        def run(z):
            return TINY.apply({"params": params}, z, method="decode", mutable=[STREAM])[1]

        return jax.eval_shape(run, jax.ShapeDtypeStruct((1, latents, 4), jnp.float32))

    assert carried(2) == carried(9)


def test_upsampling_is_a_transposed_convolution():
    stride, layer = 3, CausalUpsample1D(2, 3)
    x = np.random.default_rng(2).normal(size=(1, 5, 4)).astype(np.float32)
    params = unbox(jax.jit(layer.init)(jax.random.key(5), x)["params"])
    kernel = np.asarray(params["conv"]["kernel"])  # [2, in, stride * out]
    taps = np.concatenate([kernel[1].reshape(4, stride, 2), kernel[0].reshape(4, stride, 2)], axis=1)
    expected = np.zeros((5 * stride + stride, 2))
    for t in range(5):  # each input adds its 2 * stride taps; the end is cut off
        expected[t * stride : (t + 2) * stride] += np.einsum("c,cso->so", x[0, t], taps)
    np.testing.assert_allclose(
        jax.jit(layer.apply)({"params": params}, x)[0], expected[: 5 * stride], atol=1e-6
    )


def test_published_size():
    model = SoundStream(channels=32, strides=(2, 4, 5, 8), latent_dim=128)
    audio = jax.ShapeDtypeStruct((1, 32_000), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), audio)
    latents = jax.eval_shape(lambda v, x: model.apply(v, x, method="encode"), variables, audio)
    assert latents.shape == (1, 100, 128)  # two seconds at 50 Hz
    assert jax.eval_shape(model.apply, variables, audio).shape == (1, 32_000)
    assert 8.0e6 < sum(leaf.size for leaf in jax.tree.leaves(variables)) < 1.0e7


@pytest.mark.parametrize("shape", [(1, 7), (6,), (1, 0)])
def test_a_length_that_is_no_whole_number_of_latents_is_refused(params, shape):
    with pytest.raises(UserError, match="multiple of 6"):
        TINY.apply({"params": params}, np.zeros(shape, np.float32), method="encode")


def test_bad_sizes_are_refused():
    with pytest.raises(UserError, match="strides"):
        SoundStream(channels=2, strides=(), latent_dim=4)
