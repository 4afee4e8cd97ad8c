"""The switches of Tab. 5.7b, c and of Open-MAGVIT2: causal and streamable in every combination; the image model."""

import functools

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_checks import frames_seen
from tiny_models import random_params

from magvit_jax.nn.stream import STREAM
from magvit_jax.tokenizer.magvit2 import MagvitV2
from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer, VectorQuantizer

STRIDE = 4
FRAMES = 9
FIELDS = dict(
    base_channels=4,
    channel_multipliers=(1, 2, 1),
    strides=((2, 2, 2), (2, 1, 1)),
    blocks=1,
    mid_blocks=0,
    quantizer=LookupFreeQuantizer(3),
    norm_groups=2,
)
ENCODERS = [dict(downsampler="average"), dict(downsampler="average", stem_bias=False)]
#: Each norm and each way up, and the moments, which change with time, with all of them.
DECODERS = [
    dict(adaptive_norm="moments"),
    dict(adaptive_norm="moments", kept_frame="first"),
    dict(adaptive_norm="moments", upsampler="nearest"),
    dict(adaptive_norm="spatial", kept_frame="first"),
    dict(adaptive_norm="pooled", upsampler="nearest"),
    dict(adaptive_norm="none"),
]


@functools.cache
def tiny(**fields):
    model = MagvitV2(**(FIELDS | fields))
    return model, {"params": random_params(model, (FRAMES, 4, 4))}


def name(fields):
    return "-".join(map(str, fields.values()))


def video(frames=FRAMES):
    return jax.random.uniform(jax.random.key(0), (1, frames, 4, 4, 3))


def codes(frames=3):
    return jnp.where(jax.random.bernoulli(jax.random.key(1), shape=(1, frames, 2, 2, 3)), 1.0, -1.0)


@pytest.mark.parametrize("fields", ENCODERS, ids=name)
def test_the_encoder_has_no_gradient_from_the_future(fields):
    model, params = tiny(**fields)
    assert model.causal
    seen = frames_seen(lambda x: model.apply(params, x, method="encode"), video())
    np.testing.assert_array_equal(seen, [[frame <= STRIDE * i for frame in range(FRAMES)] for i in range(3)])


@pytest.mark.parametrize("fields", DECODERS, ids=name)
def test_the_decoder_has_no_gradient_from_later_latents(fields):
    model, params = tiny(**fields)
    assert model.causal
    seen = frames_seen(lambda z: model.apply(params, z, method="decode"), codes())
    expected = [[latent <= -(-frame // STRIDE) for latent in range(3)] for frame in range(FRAMES)]
    np.testing.assert_array_equal(seen, expected)


def in_chunks(model, params, x, lengths, method):
    run = jax.jit(functools.partial(model.apply, method=method, mutable=[STREAM]))
    outputs, carried, start = [], {}, 0
    for length in lengths:
        out, variables = run(params | carried, x[:, start : start + length])
        outputs, carried, start = [*outputs, out], {STREAM: variables[STREAM]}, start + length
    assert start == x.shape[1]
    return jnp.concatenate(outputs, axis=1)


@pytest.mark.parametrize(
    "fields",
    [
        dict(downsampler="average", upsampler="nearest", adaptive_norm="moments"),
        dict(kept_frame="first", adaptive_norm="moments", stem_bias=False),
    ],
    ids=name,
)
def test_chunks_of_a_stream_give_what_the_whole_gives(fields):
    model, params = tiny(**fields)
    x, z = video(13), codes(4)
    for method, whole, lengths in (("encode", x, (5, 4, 4)), ("decode", z, (2, 1, 1))):
        expected = jax.jit(functools.partial(model.apply, method=method))(params, whole)
        np.testing.assert_allclose(in_chunks(model, params, whole, lengths, method), expected, atol=1e-5)


def test_moments_over_the_clip_give_causality_up():
    model, params = tiny(adaptive_norm="moments", statistics="clip")
    assert not model.causal
    assert frames_seen(lambda z: model.apply(params, z, method="decode"), codes()).all()


def test_an_image_model_treats_each_frame_by_itself():
    strides = ((1, 2, 2), (1, 1, 1))
    model, params = tiny(time_kernel=1, strides=strides, adaptive_norm="moments", stem_bias=False)
    assert model.causal and model.latent_shape(6, 4, 4) == (6, 2, 2)
    x = video(3)
    seen = frames_seen(lambda x: model.apply(params, x, method="encode"), x)
    np.testing.assert_array_equal(seen, np.eye(3, dtype=bool))
    together, z = jax.jit(model.apply)(params, x)
    alone, z_alone = jax.jit(model.apply)(params, x.swapaxes(0, 1))
    np.testing.assert_allclose(together.swapaxes(0, 1), alone, atol=1e-4)
    np.testing.assert_allclose(z.swapaxes(0, 1), z_alone, atol=1e-5)


def paths(**fields):
    return set(flax.traverse_util.flatten_dict(tiny(**fields)[1]["params"], sep="/"))


def test_what_each_switch_does_to_the_parameters():
    default = paths()
    assert "encoder/level0_down/conv/kernel" in default and "encoder/conv_in/bias" in default
    down = {f"encoder/level{level}_down/conv/{leaf}" for level in range(2) for leaf in ("kernel", "bias")}
    assert default - paths(downsampler="average") == down and not paths(downsampler="average") - default
    assert default - paths(stem_bias=False) == {"encoder/conv_in/bias"}
    assert paths(kept_frame="first") == default == paths(upsampler="nearest")
    kernels = [
        tiny(**fields)[1]["params"]["decoder"]["level2_up"]["conv"]["kernel"].shape[-1]
        for fields in (dict(), dict(upsampler="nearest"))
    ]
    assert kernels == [8, 4]  # into two frames by depth-to-space; channels stay by repetition
    styles = {path for path in paths(adaptive_norm="moments") - default}
    assert len(styles) == 3 * 4 and all("/gamma/" in path or "/beta/" in path for path in styles)
    assert "codebook" in "".join(paths(quantizer=VectorQuantizer(8, 3)) - default)


@pytest.mark.parametrize(("bits", "blocks"), [(8, 1), (24, 2)])
def test_vocabulary_and_depth(bits, blocks):
    model, _ = tiny(quantizer=LookupFreeQuantizer(bits), blocks=blocks)
    assert model.codebook_size == 2**bits
    deeper = {path.split("/")[1] for path in paths(blocks=blocks)}
    assert {f"level0_block{i}" for i in range(blocks)} <= deeper and f"level0_block{blocks}" not in deeper
