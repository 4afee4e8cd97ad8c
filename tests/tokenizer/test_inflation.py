"""Inflated models do to frames what the image model did, exactly, wherever that can be expected."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import random_params

from magvit_jax.errors import UserError
from magvit_jax.partitioning import unbox
from magvit_jax.tokenizer.discriminator import Discriminator
from magvit_jax.tokenizer.inflation import inflate
from magvit_jax.tokenizer.magvit import Magvit
from magvit_jax.tokenizer.magvit2 import MagvitV2
from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer, VectorQuantizer
from magvit_jax.tokenizer.tokenizer import ClipFormat, unboxed_abstract_params

MAGVIT = dict(
    base_channels=8,
    channel_multipliers=(1, 2),
    blocks=1,
    mid_blocks=0,
    quantizer=VectorQuantizer(16, 5),
    norm_groups=4,
)
PLANE = (4, 4)


def image_model(**fields):
    return Magvit(**MAGVIT, **fields, temporal_downsample=(False,), dims=2, statistics="frame")


def inflated(model, image, method, frames):
    """Parameters of both models."""
    image_params = random_params(image, (1, *PLANE))
    shapes = unboxed_abstract_params(model, ClipFormat(frames, *PLANE))
    return {"params": inflate(image_params, shapes, method)}, {"params": image_params}


def apply(model, params, x, method):
    return np.asarray(jax.jit(lambda p, x: model.apply(p, x, method=method))(params, x))


def moving(frames, channels=3, plane=PLANE):
    return jax.random.uniform(jax.random.key(frames), (1, frames, *plane, channels))


def still(frames, channels=3, plane=PLANE):
    return jnp.repeat(moving(1, channels, plane), frames, axis=1)


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
def test_central_inflation_is_the_image_model_frame_by_frame(padding):
    """Time is not halved and norms keep to their frame: then nothing else is left for frames to meet in."""
    image = image_model(padding=padding)
    model = Magvit(**MAGVIT, padding=padding, temporal_downsample=(False,), statistics="frame")
    params, image_params = inflated(model, image, "central", 5)
    for method, x in (("encode", moving(5)), ("decode", moving(5, 5, (2, 2)))):
        actual = apply(model, params, x, method)
        assert actual.std() > 0.1
        np.testing.assert_allclose(actual, apply(image, image_params, x, method), atol=1e-5)


@pytest.mark.parametrize(("method", "padding"), [("central", "zeros"), ("average", "reflect")])
def test_a_still_clip_becomes_the_image_s_latents_in_the_published_model(method, padding):
    """With temporal pooling and norms over the clip: all of them leave alone what does not change. The
    average does so too, up to the borders where padding is a reflection."""
    image = image_model(padding=padding)
    model = Magvit(**MAGVIT, padding=padding, temporal_downsample=(True,))
    params, image_params = inflated(model, image, method, 8)
    z = apply(model, params, still(8), "encode")
    assert z.shape[1] == 4
    np.testing.assert_allclose(z, apply(image, image_params, still(4), "encode"), atol=1e-5)
    codes = still(4, 5, (2, 2))
    frames = apply(model, params, codes, "decode")
    np.testing.assert_allclose(frames, apply(image, image_params, still(8, 5, (2, 2)), "decode"), atol=1e-5)


def test_average_inflation_meets_zeros_at_the_borders_only():
    """The decoder's seven convolutions of extent 3 reach seven frames: those in the middle see no padding."""
    image = image_model(padding="zeros")
    model = Magvit(**MAGVIT, padding="zeros", temporal_downsample=(False,), statistics="frame")
    params, image_params = inflated(model, image, "average", 18)
    codes = still(18, 5, (2, 2))
    frames, expected = (apply(m, p, codes, "decode") for m, p in ((model, params), (image, image_params)))
    away = np.abs(frames - expected).max((0, 2, 3, 4))
    assert (away[7:11] < 1e-5).all() and away[0] > 1e-2 and away[-1] > 1e-2


@pytest.mark.parametrize(
    ("downsampler", "upsampler"), [("strided", "depth_to_space"), ("average", "nearest")]
)
def test_last_slices_make_a_causal_model_of_an_image_model(downsampler, upsampler):
    """MAGVIT-v2, 5.4.2. A strided convolution's own frame is the last of those that became a latent frame;
    each frame decoded is the image model's of its latent frame, although a layer makes two frames of one."""
    fields = dict(
        base_channels=8,
        channel_multipliers=(1, 2),
        blocks=1,
        mid_blocks=0,
        quantizer=LookupFreeQuantizer(5),
        norm_groups=4,
        downsampler=downsampler,
        upsampler=upsampler,
    )
    image = MagvitV2(**fields, strides=((1, 2, 2),), time_kernel=1)
    model = MagvitV2(**fields, strides=((2, 2, 2),))
    params, image_params = inflated(model, image, "last", 5)
    video = moving(5) if downsampler == "strided" else still(5)
    z = apply(model, params, video, "encode")
    np.testing.assert_allclose(z, apply(image, image_params, video[:, ::2], "encode"), atol=1e-5)
    frames = apply(model, params, z, "decode")
    images = apply(image, image_params, z, "decode")
    np.testing.assert_allclose(frames, images[:, [0, 1, 1, 2, 2]], atol=1e-5)


def test_a_discriminator_is_inflated_by_the_same_call():
    """A tower of 2x2x2 averages, which a still clip does not notice."""
    fields = dict(base_channels=4, channel_multipliers=(2, 2))
    image, video = Discriminator(**fields, dims=2), Discriminator(**fields)
    image_shapes, shapes = (
        unbox(jax.eval_shape(model.init, jax.random.key(0), still(frames)))["params"]
        for model, frames in ((image, 1), (video, 4))
    )
    rng = np.random.default_rng(0)
    image_params = jax.tree.map(lambda x: rng.normal(0, 0.3, x.shape).astype(x.dtype), image_shapes)
    params = inflate(image_params, shapes, "central")
    logits = jax.jit(video.apply)({"params": params}, still(4))
    np.testing.assert_allclose(logits, jax.jit(image.apply)({"params": image_params}, still(1)), rtol=1e-4)


def test_slices_written_out():
    image = {"a": {"kernel": np.full((1, 1, 1, 1, 1), 6.0, np.float32)}, "b": {"scale": np.arange(2.0)}}
    video = {"a": {"kernel": np.zeros((3, 1, 1, 1, 1))}, "b": {"scale": np.zeros(2)}}
    slices = {"central": [0, 6, 0], "average": [2, 2, 2], "last": [0, 0, 6]}
    for method, expected in slices.items():
        result = inflate(image, video, method)
        assert result["a"]["kernel"].ravel().tolist() == expected
        assert result["a"]["kernel"].dtype == np.float32
        np.testing.assert_array_equal(result["b"]["scale"], image["b"]["scale"])
    flat = {"a": {"kernel": image["a"]["kernel"][0]}, "b": image["b"]}
    assert inflate(flat, video, "last")["a"]["kernel"].ravel().tolist() == [0, 0, 6]
    wide = {"a": {"kernel": np.zeros((4, 1, 1, 1, 1))}, "b": video["b"]}
    assert inflate(image, wide, "central")["a"]["kernel"].ravel().tolist() == [0, 6, 0, 0]


def zeros(**shapes):
    return {"z": {"kernel": np.zeros((1, 1, 1, 2, 2))}} | {
        module: {leaf: np.zeros(shape) for leaf, shape in leaves.items()} for module, leaves in shapes.items()
    }


KERNEL = dict(kernel=(1, 3, 3, 2, 4))


@pytest.mark.parametrize(
    ("image", "video", "message"),
    [
        (zeros(), zeros(c=KERNEL), r"parameter c/kernel is absent; cannot be inflated to \[1, 3, 3, 2, 4\]"),
        (zeros(c=KERNEL), zeros(), r"parameter c/kernel is \[1, 3, 3, 2, 4\]; cannot be inflated to absent"),
        (zeros(c=KERNEL), zeros(c=dict(kernel=(3, 3, 3, 2, 8))), r"to \[3, 3, 3, 2, 8\]"),
        (zeros(c=dict(kernel=(2, 3, 3, 2, 4))), zeros(c=dict(kernel=(3, 3, 3, 2, 4))), "c/kernel"),
        (
            zeros(c=dict(scale=(4,))),
            zeros(c=dict(scale=(8,))),
            r"c/scale is \[4\]; cannot be inflated to \[8\]",
        ),
        (zeros(a=KERNEL, b=KERNEL), zeros(a=KERNEL, c=KERNEL), "^runs/x: parameter b/kernel"),
        (zeros(l_up=KERNEL), zeros(l_up=dict(kernel=(3, 3, 3, 2, 6))), "l_up/kernel"),
    ],
)
def test_the_first_parameter_that_does_not_fit_is_named(image, video, message):
    with pytest.raises(UserError, match=message):
        inflate(image, video, "central", "runs/x")


def test_an_unknown_method_is_refused():
    with pytest.raises(
        UserError, match="inflation 'first' is unknown; expected one of central, average, last"
    ):
        inflate({}, {}, "first")
