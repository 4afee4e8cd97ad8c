"""The 3D-VQ and 2D-VQ networks: sizes of the papers, what sees what, padding, gradients, and bad fields."""

import functools
import math

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_checks import frames_seen, require_same_slopes
from tiny_models import random_params

from magvit_jax.errors import UserError
from magvit_jax.tokenizer.magvit import Magvit
from magvit_jax.tokenizer.quantizer import VectorQuantizer
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer, unboxed_abstract_params
from magvit_jax.tokens import latent_grid

FIELDS = dict(
    base_channels=8,
    channel_multipliers=(1, 2),
    temporal_downsample=(True,),
    blocks=1,
    mid_blocks=0,
    quantizer=VectorQuantizer(16, 5),
    norm_groups=4,
)
IMAGE = dict(temporal_downsample=(False,), dims=2, statistics="frame")
CLIP = (1, 8, 4, 4, 3)


def paper(base_channels, multipliers=(1, 2, 2, 4), temporal=(True, True, False)):
    return Magvit(base_channels, multipliers, temporal, 2, 2, VectorQuantizer(1024, 256))


@functools.cache
def tiny(**fields):
    """A model and random parameters."""
    model = Magvit(**(FIELDS | fields))
    return model, {"params": random_params(model, CLIP[1:4])}


def clip(seed=0, shape=CLIP):
    return jax.random.uniform(jax.random.key(seed), shape)


def latents(seed=0, frames=4):
    return jax.random.normal(jax.random.key(seed), (1, frames, 2, 2, 5))


def apply(model, params, x, method):
    return jax.jit(lambda p, x: model.apply(p, x, method=method))(params, x)


def count(tree):
    return sum(math.prod(x.shape) for x in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    ("base_channels", "published", "here"), [(64, 40.58e6, 40_579_843), (128, 157.8e6, 157_811_971)]
)
def test_param_count(base_channels, published, here):
    """The generator with its codebook, as counted on the authors' code; Fig. 3.1 rounds to 41M and 158M."""
    params = unboxed_abstract_params(paper(base_channels), ClipFormat(16, 128, 128))
    assert count(params) == here == pytest.approx(published, rel=0.005)


@pytest.mark.parametrize(
    ("size", "multipliers", "temporal"),
    [(128, (1, 2, 2, 4), (True, True, False)), (64, (1, 2, 4), (True, True))],
)
def test_published_clips_become_4x16x16_tokens(size, multipliers, temporal):
    model = paper(64, multipliers, temporal)
    video = jax.ShapeDtypeStruct((2, 16, size, size, 3), jnp.float32)
    output, z = jax.eval_shape(lambda video: model.init_with_output(jax.random.key(0), video)[0], video)
    assert model.latent_shape(16, size, size) == (4, 16, 16)
    assert (z.shape, z.dtype) == ((2, 4, 16, 16, 256), jnp.float32)
    assert (output.shape, output.dtype) == (video.shape, jnp.float32)
    assert model.bits == 10


@pytest.mark.parametrize("frames", [2, 8, 14])
def test_s_t_frames_are_t_latent_frames_in_any_dtype(frames):
    model = Magvit(**FIELDS, dtype=jnp.bfloat16)
    video = jax.ShapeDtypeStruct((2, frames, 8, 12, 3), jnp.float32)
    output, z = jax.eval_shape(lambda video: model.init_with_output(jax.random.key(0), video)[0], video)
    assert z.shape == (2, *model.latent_shape(frames, 8, 12), 5) == (2, frames // 2, 4, 6, 5)
    assert (output.shape, output.dtype, z.dtype) == (video.shape, jnp.float32, jnp.float32)


@pytest.mark.parametrize("size", [(1, 8, 8), (9, 8, 8), (8, 7, 8), (0, 8, 8)])
def test_sizes_that_do_not_fit_are_refused_an_image_too(size):
    model, params = tiny()
    with pytest.raises(UserError, match="frames must be a multiple of 2, height a multiple of 2, width a mu"):
        model.latent_shape(*size)
    if min(size) > 0:
        with pytest.raises(UserError, match=f"cannot tokenize {size[0]} frames"):
            model.apply(params, clip(shape=(1, *size, 3)), method="encode")


def test_the_grid_of_its_tokens_has_no_leading_frame():
    """A generator on these tokens: 5 given frames touch 2 of 4 latent frames, and fill the first alone."""
    model = paper(64)
    assert not model.causal and not model.streams
    grid = latent_grid(model, (16, 128, 128))
    assert (grid.shape, grid.pixel_frames) == ((4, 16, 16), 16)
    assert grid.latent_frames_of(5) == 2 and not grid.fills_latent_frames(5) and grid.fills_latent_frames(8)


def test_a_latent_sees_its_past_and_its_future_alike():
    """By hand: conv_in and two convolutions of level 0 reach 3 frames, those of level 1 two latent frames."""
    model, params = tiny(statistics="frame")
    seen = frames_seen(lambda x: model.apply(params, x, method="encode"), clip(shape=(1, 24, 4, 4, 3)))
    expected = [[2 * i - 4 - 3 <= frame <= 2 * i + 1 + 4 + 3 for frame in range(24)] for i in range(12)]
    np.testing.assert_array_equal(seen, expected)


def test_a_frame_is_made_of_latents_before_and_after_it():
    """By hand: conv_in and level 1 reach 3 latents, the upsampling, level 0 and conv_out 4 frames."""
    model, params = tiny(statistics="frame")
    seen = frames_seen(lambda z: model.apply(params, z, method="decode"), latents(frames=12))
    expected = [[(frame - 4) // 2 - 3 <= i <= (frame + 4) // 2 + 3 for i in range(12)] for frame in range(24)]
    np.testing.assert_array_equal(seen, expected)


def test_published_statistics_show_every_latent_the_whole_clip():
    model, params = tiny()
    assert frames_seen(lambda x: model.apply(params, x, method="encode"), clip(shape=(1, 24, 4, 4, 3))).all()


def test_images_of_a_clip_do_not_see_each_other():
    model, params = tiny(**IMAGE)
    assert model.causal and model.leading_frame and model.latent_shape(7, 4, 4) == (7, 2, 2)
    video, z = clip(), latents(frames=8)
    for method, x in (("encode", video), ("decode", z)):
        seen = frames_seen(lambda x, method=method: model.apply(params, x, method=method), x)
        np.testing.assert_array_equal(seen, np.eye(8, dtype=bool))
        one_by_one = apply(model, params, x.reshape(8, 1, *x.shape[2:]), method)
        together = apply(model, params, x, method)
        np.testing.assert_allclose(one_by_one.reshape(together.shape), together, atol=1e-5)


@pytest.mark.parametrize("fields", [{}, IMAGE])
def test_long_videos_go_through_in_windows_or_frame_by_frame(fields):
    """The video model sees windows of its training length; to the image model chunks do not matter."""
    model, params = tiny(**fields)
    tokenizer = Tokenizer(model, params["params"], ClipFormat(4, 4, 4))
    video = clip(shape=(1, 8, 4, 4, 3))
    streamed = np.concatenate(list(tokenizer.encode_stream(iter([video[:, :3], video[:, 3:]]))), axis=1)
    windows = np.concatenate([tokenizer.encode(video[:, :4]), tokenizer.encode(video[:, 4:])], axis=1)
    np.testing.assert_array_equal(streamed, windows)
    assert np.array_equal(streamed, tokenizer.encode(video)) == model.streams


def test_convolutions_of_the_image_model_are_flat():
    shapes = flax.traverse_util.flatten_dict(unboxed_abstract_params(tiny(**IMAGE)[0], ClipFormat(1, 4, 4)))
    kernels = {shape.shape[:3] for path, shape in shapes.items() if path[-1] == "kernel"}
    assert kernels == {(1, 3, 3), (1, 1, 1)}


def test_reflection_gives_the_same_content_the_same_latents_everywhere():
    """3.2.1: why the thesis pads by reflection. A grey clip has no border then; with zeros it has."""
    grey = jnp.full((1, 8, 8, 8, 3), 0.7)
    for padding, same in (("reflect", True), ("zeros", False)):
        model, params = tiny(padding=padding)
        z = np.asarray(apply(model, params, grey, "encode")).reshape(-1, 5)
        assert (np.abs(z - z[0]).max() < 1e-4) == same
        frames = np.asarray(apply(model, params, jnp.ones((1, 4, 2, 2, 5)), "decode")).reshape(-1, 3)
        assert (np.abs(frames - frames[0]).max() < 1e-4) == same


def test_biases_are_where_the_public_code_has_them():
    flat = flax.traverse_util.flatten_dict(unboxed_abstract_params(paper(64), ClipFormat(16, 128, 128)))
    biased = {"/".join(path[:-1]) for path in flat if path[-1] == "bias" and "norm" not in path[-2]}
    assert biased == {
        "encoder/conv_out",
        "decoder/conv_in",
        "decoder/level1_up",
        "decoder/level2_up",
        "decoder/level3_up",
        "decoder/conv_out",
    }


def test_reconstruction_is_the_decoded_ids():
    model, params = tiny()
    output, z = jax.jit(model.apply)(params, clip())
    ids = apply(model, params, clip(), "encode_to_ids")
    assert ids.shape == z.shape[:-1] and len(np.unique(ids)) > 1
    np.testing.assert_allclose(output, apply(model, params, ids, "decode_from_ids"), atol=1e-4)


def test_gradients_pass_the_quantizer_straight_through():
    """Reconstruction teaches encoder and decoder, the codebook loss the codebook, commitment the encoder."""
    model, params = tiny()
    video = clip()

    def losses(params):
        output, terms, _ = model.apply(params, video, 0.01, method="forward")
        return jnp.stack([jnp.square(output - video).mean(), terms.codebook, terms.commitment])

    slopes = jax.jit(jax.jacrev(losses))(params)["params"]
    taught = {
        part: [any(np.any(slope[i]) for slope in jax.tree.leaves(tree)) for i in range(3)]
        for part, tree in slopes.items()
    }
    assert taught == {
        "encoder": [True, False, True],
        "decoder": [True, False, False],
        "quantizer": [False, True, False],
    }


def test_recomputing_blocks_changes_nothing():
    fields = dict(channel_multipliers=(1,), temporal_downsample=())
    model, params = tiny(**fields)
    require_same_slopes(model, Magvit(**(FIELDS | fields), remat=True), params, clip(shape=(1, 2, 4, 4, 3)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            dict(temporal_downsample=(True, False)),
            "temporal_downsample has 2 entries, expected one less than the 2",
        ),
        (dict(dims=4), "dims is 4, expected one of 2, 3"),
        (dict(padding="edge"), "padding is 'edge', expected one of zeros, reflect"),
        (dict(statistics="batch"), "statistics is 'batch', expected one of frame, clip"),
        (dict(dims=2), r"dims is 2 with temporal_downsample \(True,\) and statistics 'clip'"),
        (dict(dims=2, temporal_downsample=(False,)), "its statistics are 'frame'"),
        (dict(norm_groups=3), "norm_groups 3 does not divide the 8 channels"),
    ],
)
def test_bad_fields_are_named(fields, message):
    with pytest.raises(UserError, match=message):
        Magvit(**(FIELDS | fields))
