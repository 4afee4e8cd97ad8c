"""C-ViViT + MAGVIT: causal between blocks, not within; a first frame by itself; shapes; longer clips."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_checks import frames_seen
from tiny_models import random_params

from magvit_jax.errors import UserError
from magvit_jax.tokenizer.cvivit_cnn import CViViTMagvit
from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer, VectorQuantizer

CLIP = (1, 5, 8, 8, 3)
STRIDE = 2  # in time
FIELDS = dict(
    frames=5,
    base_channels=8,
    channel_multipliers=(1, 1),
    temporal_downsample=(True,),
    blocks=1,
    mid_blocks=0,
    width=8,
    heads=2,
    mlp_dim=16,
    temporal_layers=1,
    quantizer=LookupFreeQuantizer(5),
    norm_groups=4,
)


@functools.cache
def tiny(**fields):
    """A model and random parameters."""
    model = CViViTMagvit(**(FIELDS | fields))
    return model, {"params": random_params(model, CLIP[1:4])}


def clip(seed=0, shape=CLIP):
    return jax.random.uniform(jax.random.key(seed), shape)


def codes(frames=3):
    return jnp.where(jax.random.bernoulli(jax.random.key(0), shape=(1, frames, 4, 4, 5)), 1.0, -1.0)


def test_the_encoder_sees_its_block_and_those_before():
    model, params = tiny()
    seen = frames_seen(lambda video: model.apply(params, video, method="encode"), clip())
    expected = [[frame <= STRIDE * i for frame in range(5)] for i in range(3)]
    np.testing.assert_array_equal(seen, expected)


def test_the_decoder_has_no_gradient_from_later_latents():
    model, params = tiny()
    seen = frames_seen(lambda z: model.apply(params, z, method="decode"), codes())
    expected = [[latent <= -(-frame // STRIDE) for latent in range(3)] for frame in range(5)]
    np.testing.assert_array_equal(seen, expected)


def test_only_attention_joins_the_blocks():
    """Without temporal layers a latent frame is its own block, of which it sees every frame."""
    model, params = tiny(temporal_layers=0)
    seen = frames_seen(lambda video: model.apply(params, video, method="encode"), clip())
    expected = [[-(-frame // STRIDE) == i for frame in range(5)] for i in range(3)]
    np.testing.assert_array_equal(seen, expected)


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
@pytest.mark.parametrize(("frames", "size"), [(1, (8, 8)), (3, (8, 12)), (5, (16, 8))])
def test_one_and_s_t_frames_of_any_size_are_one_and_t_latent_frames(frames, size, quantizer):
    model = CViViTMagvit(**(FIELDS | dict(quantizer=quantizer)))
    video = jax.ShapeDtypeStruct((2, frames, *size, 3), jnp.float32)
    t, h, w = model.latent_shape(frames, *size)
    assert (t, h, w) == (1 + (frames - 1) // 2, size[0] // 2, size[1] // 2)
    output, z = jax.eval_shape(lambda v: model.init_with_output(jax.random.key(0), v)[0], video)
    assert output.shape == video.shape and output.dtype == jnp.float32
    assert z.shape == (2, t, h, w, quantizer.width) and z.dtype == jnp.float32


def test_parameters_do_not_depend_on_the_clip_they_are_made_with():
    shapes = [
        jax.tree.map(lambda x: x.shape, random_params(tiny()[0], shape)) for shape in ((1, 8, 8), (5, 16, 8))
    ]
    assert shapes[0] == shapes[1]


def test_more_frames_than_positions_name_the_trained_number():
    model, params = tiny()
    message = "position embeddings are for clips of at most 5 frames, 3 latent ones"
    with pytest.raises(UserError, match=f"7 frames: .*{message}"):
        model.apply(params, clip(shape=(1, 7, 8, 8, 3)), method="encode")
    with pytest.raises(UserError, match=f"4 latent frames: .*{message}"):
        model.apply(params, codes(frames=4), method="decode")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(frames=4), r"model.frames is 4: expected 1 \+ a multiple of 2"),
        (dict(heads=3), "model.heads is 3: expected a divisor of the width 8"),
        (dict(temporal_downsample=(True, True)), "temporal_downsample has 2 entries"),
        (dict(norm_groups=3), "norm_groups 3 does not divide the 8 channels"),
    ],
)
def test_bad_fields_are_named(fields, message):
    with pytest.raises(UserError, match=message):
        CViViTMagvit(**(FIELDS | fields))
