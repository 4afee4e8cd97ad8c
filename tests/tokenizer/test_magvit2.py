"""The tokenizer network: exact causality, an image as a video's first frame, shapes, and bad fields."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_checks import frames_seen, require_same_slopes
from tiny_models import random_params

from magvit_jax.errors import UserError
from magvit_jax.tokenizer import lfq
from magvit_jax.tokenizer.magvit2 import MagvitV2
from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer

CLIP = (1, 9, 8, 8, 3)
STRIDE = 4  # in time
FIELDS = dict(
    base_channels=8,
    channel_multipliers=(1, 2, 1),
    strides=((2, 2, 2), (2, 1, 1)),
    blocks=1,
    mid_blocks=0,
    quantizer=LookupFreeQuantizer(5),
    norm_groups=4,
)


@functools.cache
def tiny(**fields):
    """A model and random parameters."""
    model = MagvitV2(**(FIELDS | fields))
    return model, {"params": random_params(model, CLIP[1:4])}


def clip(seed=0, shape=CLIP):
    return jax.random.uniform(jax.random.key(seed), shape)


def codes(seed=0, frames=3):
    return jnp.where(jax.random.bernoulli(jax.random.key(seed), shape=(1, frames, 4, 4, 5)), 1.0, -1.0)


def test_the_encoder_has_no_gradient_from_the_future():
    model, params = tiny()
    seen = frames_seen(lambda video: model.apply(params, video, method="encode"), clip())
    expected = [[frame <= STRIDE * i for frame in range(9)] for i in range(3)]
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("adaptive_norm", ["pooled", "spatial", "none"])
def test_the_decoder_has_no_gradient_from_later_latents(adaptive_norm):
    model, params = tiny(adaptive_norm=adaptive_norm)
    seen = frames_seen(lambda z: model.apply(params, z, method="decode"), codes())
    expected = [[latent <= -(-frame // STRIDE) for latent in range(3)] for frame in range(9)]
    np.testing.assert_array_equal(seen, expected)


def test_statistics_over_the_clip_give_causality_up():
    model, params = tiny(statistics="clip")
    seen = frames_seen(lambda video: model.apply(params, video, method="encode"), clip())
    assert seen.all()


def test_later_frames_change_nothing_before_them():
    model, params = tiny()
    encode = jax.jit(lambda video: model.apply(params, video, method="encode"))
    decode = jax.jit(lambda z: model.apply(params, z, method="decode"))
    video, z = clip(), codes()
    for i in range(2):
        other = video.at[:, STRIDE * i + 1 :].set(clip(seed=1)[:, STRIDE * i + 1 :])
        before, after = np.asarray(encode(video)), np.asarray(encode(other))
        np.testing.assert_array_equal(before[:, : i + 1], after[:, : i + 1])
        assert np.any(before[:, i + 1] != after[:, i + 1])
        other = z.at[:, i + 1 :].multiply(-1.0)
        before, after = np.asarray(decode(z)), np.asarray(decode(other))
        np.testing.assert_array_equal(before[:, : STRIDE * i + 1], after[:, : STRIDE * i + 1])
        assert np.any(before[:, STRIDE * i + 1] != after[:, STRIDE * i + 1])


def test_an_image_is_the_first_frame_of_a_video():
    model, params = tiny()
    video = clip(shape=(4, *CLIP[1:]))
    encode = jax.jit(lambda video: model.apply(params, video, method="encode"))
    z_image, z_video = np.asarray(encode(video[:, :1])), np.asarray(encode(video))[:, :1]
    assert z_image.std() > 0.1
    np.testing.assert_allclose(z_image, z_video, atol=1e-5)
    sure = np.all(np.abs(z_video) > 1e-4, axis=-1)
    assert sure.mean() > 0.9
    ids_image, ids_video = (lfq.codes_to_ids(lfq.quantize(z)) for z in (z_image, z_video))
    np.testing.assert_array_equal(np.asarray(ids_image)[sure], np.asarray(ids_video)[sure])


@pytest.mark.parametrize("frames", [1, 5, 9, 17])
def test_one_and_s_t_frames_are_one_and_t_latent_frames(frames):
    model, params = tiny(patch=2)
    video = jax.ShapeDtypeStruct((2, frames, 8, 12, 3), jnp.float32)
    z = jax.eval_shape(lambda v: model.init_with_output(jax.random.key(0), v)[0][1], video)
    t, h, w = model.latent_shape(frames, 8, 12)
    assert (t, h, w) == (1 + (frames - 1) // 4, 2, 3)
    assert z.shape == (2, t, h, w, 5)
    ids = jax.ShapeDtypeStruct((2, t, h, w), jnp.int32)
    output = jax.eval_shape(
        lambda ids: model.init_with_output(jax.random.key(0), ids, method="decode_from_ids")[0], ids
    )
    assert output.shape == video.shape and output.dtype == jnp.float32


def test_forward_is_decode_of_the_encoded_ids():
    model, params = tiny()
    output, z = jax.jit(model.apply)(params, clip())
    ids = jax.jit(lambda video: model.apply(params, video, method="encode_to_ids"))(clip())
    np.testing.assert_array_equal(ids, lfq.codes_to_ids(z))
    decoded = jax.jit(lambda ids: model.apply(params, ids, method="decode_from_ids"))(ids)
    np.testing.assert_allclose(output, decoded, atol=1e-4)


def test_recomputing_blocks_changes_nothing():
    fields = dict(channel_multipliers=(1,), strides=())
    model, params = tiny(**fields)
    require_same_slopes(model, MagvitV2(**(FIELDS | fields), remat=True), params, clip())


@pytest.mark.parametrize("size", [(8, 8, 8), (9, 7, 8), (9, 8, 9), (0, 8, 8), (-3, 8, 8)])
def test_wrong_sizes_say_which_fit(size):
    model, params = tiny()
    with pytest.raises(UserError, match=r"1 \+ a multiple of 4, height a multiple of 2, width a multiple of 2"):
        model.latent_shape(*size)


def test_encoding_a_wrong_size_is_an_error_and_not_a_guess():
    model, params = tiny()
    with pytest.raises(UserError, match="8 frames of 8x8"):
        model.apply(params, clip(shape=(1, 8, 8, 8, 3)), method="encode")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(strides=((2, 2, 2),)), "strides has 1 entries, expected one less than the 3"),
        (dict(strides=((2, 2, 2), 2)), r"strides has 2, expected \(time, height, width\)"),
        (dict(strides=((2, 2, 2), (2, 0, 1))), r"strides has \(2, 0, 1\)"),
        (dict(norm_groups=3), "norm_groups 3 does not divide the 8 channels"),
        (dict(downsampler="max"), "downsampler is 'max', expected one of strided, average"),
        (dict(upsampler="cubic"), "upsampler is 'cubic', expected one of depth_to_space, nearest"),
        (dict(kept_frame="middle"), "kept_frame is 'middle', expected one of last, first"),
        (dict(adaptive_norm="std"), "adaptive_norm is 'std', expected one of pooled, spatial, moments, none"),
        (dict(statistics="batch"), "statistics is 'batch', expected one of frame, clip"),
        (dict(time_kernel=0), "time_kernel is 0, expected 1 or more"),
        (dict(time_kernel=1), "time_kernel is 1, expected 1 or more, and above 1 with strides that step in time"),
    ],
)
def test_bad_fields_are_named(fields, message):
    with pytest.raises(UserError, match=message):
        MagvitV2(**(FIELDS | fields))
