"""C-ViViT: exact causality, a first frame of its own, shapes, sizes that it has no positions for."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_checks import pixels_seen, require_same_slopes
from tiny_models import random_params

from magvit_jax.errors import UserError
from magvit_jax.tokenizer.cvivit import CViViT, space_to_depth
from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer, VectorQuantizer

CLIP = (1, 9, 8, 8, 3)
STRIDE = 4  # in time
FIELDS = dict(
    clip=CLIP[1:4],
    patch=(STRIDE, 4, 4),
    width=8,
    heads=2,
    mlp_dim=16,
    spatial_layers=1,
    temporal_layers=2,
    quantizer=LookupFreeQuantizer(5),
)


@functools.cache
def tiny(**fields):
    """A model and random parameters."""
    model = CViViT(**(FIELDS | fields))
    return model, {"params": random_params(model, CLIP[1:4])}


def clip(seed=0, shape=CLIP):
    return jax.random.uniform(jax.random.key(seed), shape)


def codes(frames=3):
    return jnp.where(jax.random.bernoulli(jax.random.key(0), shape=(1, frames, 2, 2, 5)), 1.0, -1.0)


def test_the_encoder_sees_the_whole_past_and_no_future():
    model, params = tiny()
    seen = pixels_seen(lambda video: model.apply(params, video, method="encode"), clip())
    expected = np.array([[frame <= STRIDE * i for frame in range(9)] for i in range(3)])
    np.testing.assert_array_equal(seen, np.broadcast_to(expected[..., None, None], seen.shape))


def test_the_decoder_sees_all_earlier_latents_and_no_later_one():
    model, params = tiny()
    seen = pixels_seen(lambda z: model.apply(params, z, method="decode"), codes())
    expected = np.array([[latent <= -(-frame // STRIDE) for latent in range(3)] for frame in range(9)])
    np.testing.assert_array_equal(seen, np.broadcast_to(expected[..., None, None], seen.shape))


def test_attention_over_time_stays_at_its_position():
    """Without spatial layers a token is its own patch through time."""
    model, params = tiny(spatial_layers=0)
    video, other = clip(), clip(seed=1)
    encode = jax.jit(lambda video: model.apply(params, video, method="encode"))
    changed = np.any(encode(video) != encode(video.at[:, 1, :4, 4:].set(other[:, 1, :4, 4:])), axis=(0, 4))
    expected = np.zeros((3, 2, 2), bool)
    expected[1:, 0, 1] = True
    np.testing.assert_array_equal(changed, expected)


def test_an_image_is_the_first_frame_of_a_video():
    model, params = tiny()
    video = clip(shape=(4, *CLIP[1:]))
    encode = jax.jit(lambda video: model.apply(params, video, method="encode"))
    z_image, z_video = np.asarray(encode(video[:, :1])), np.asarray(encode(video))[:, :1]
    assert z_image.std() > 0.1
    np.testing.assert_allclose(z_image, z_video, atol=1e-5)
    decode = jax.jit(lambda z: model.apply(params, z, method="decode"))
    np.testing.assert_allclose(decode(codes()[:, :1]), decode(codes())[:, :1], atol=1e-5)


@pytest.mark.parametrize("quantizer", [LookupFreeQuantizer(5), VectorQuantizer(32, 6)])
@pytest.mark.parametrize("frames", [1, 5, 9])
def test_one_and_s_t_frames_are_one_and_t_latent_frames(frames, quantizer):
    model = CViViT(**(FIELDS | dict(quantizer=quantizer)))
    video = jax.ShapeDtypeStruct((2, frames, 8, 8, 3), jnp.float32)
    t, h, w = model.latent_shape(frames, 8, 8)
    assert (t, h, w) == (1 + (frames - 1) // 4, 2, 2)
    output, z = jax.eval_shape(lambda v: model.init_with_output(jax.random.key(0), v)[0], video)
    assert output.shape == video.shape and output.dtype == jnp.float32
    assert z.shape == (2, t, h, w, quantizer.width) and z.dtype == jnp.float32


def test_parameters_do_not_depend_on_the_clip_they_are_made_with():
    shapes = [
        jax.tree.map(lambda x: x.shape, random_params(tiny()[0], shape)) for shape in ((1, 8, 8), (9, 8, 8))
    ]
    assert shapes[0] == shapes[1]


def test_blocks_fold_into_channels_in_the_order_of_depth_to_space():
    x = np.arange(4 * 2 * 4 * 3).reshape(1, 4, 2, 4, 3)
    y = space_to_depth(jnp.asarray(x), (2, 2, 2))
    assert y.shape == (1, 2, 1, 2, 24)
    np.testing.assert_array_equal(y[0, 1, 0, 1], x[0, 2:4, 0:2, 2:4].ravel())


def test_recomputing_layers_changes_nothing():
    fields = dict(spatial_layers=0, temporal_layers=1)
    model, params = tiny(**fields)
    require_same_slopes(model, CViViT(**(FIELDS | fields), remat=True), params, clip())


@pytest.mark.parametrize("size", [(9, 12, 8), (9, 8, 4), (13, 8, 8)])
def test_a_size_without_positions_names_the_trained_one(size):
    model, params = tiny()
    message = "position embeddings are for clips of 8x8 and at most 9 frames"
    with pytest.raises(UserError, match=message):
        model.latent_shape(*size)
    with pytest.raises(UserError, match=message):
        model.apply(params, clip(shape=(1, *size, 3)), method="encode")
    t, h, w = 1 + (size[0] - 1) // 4, size[1] // 4, size[2] // 4
    with pytest.raises(UserError, match=message):
        model.apply(params, jnp.ones((1, t, h, w, 5)), method="decode")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(patch=(4, 4)), r"model.patch is \(4, 4\): expected \(time, height, width\)"),
        (dict(clip=(9, 0, 8)), r"model.clip is \(9, 0, 8\)"),
        (dict(heads=3), "model.heads is 3: expected a divisor of the width 8"),
    ],
)
def test_bad_fields_are_named(fields, message):
    with pytest.raises(UserError, match=message):
        CViViT(**(FIELDS | fields))


def test_a_clip_that_the_patches_do_not_divide_is_refused():
    with pytest.raises(
        UserError, match=r"cannot tokenize 8 frames of 8x8: frames must be 1 \+ a multiple of 4"
    ):
        CViViT(**(FIELDS | dict(clip=(8, 8, 8)))).latent_shape(1, 8, 8)
