"""The tokenizer as users hold it: what it takes, what it refuses, and on a mesh."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import random_params

from magvit_jax.errors import UserError
from magvit_jax.partitioning import make_mesh
from magvit_jax.tokenizer.magvit2 import MagvitV2
from magvit_jax.tokenizer.model import TokenizerModel
from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer
from magvit_jax.tokenizer.stages import Decoder, Encoder
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer

MODEL = MagvitV2(
    base_channels=8,
    channel_multipliers=(1, 1),
    strides=((2, 2, 2),),
    blocks=1,
    mid_blocks=0,
    quantizer=LookupFreeQuantizer(6),
    norm_groups=4,
)
CLIP = ClipFormat(5, 16, 16)


@pytest.fixture(scope="module")
def params():
    return random_params(MODEL, CLIP.shape)


@pytest.fixture(scope="module")
def tokenizer(params):
    return Tokenizer(MODEL, params, CLIP)


@pytest.fixture(scope="module")
def video():
    return np.random.default_rng(0).integers(0, 256, (8, *CLIP.shape, 3), dtype=np.uint8)


def test_ids_of_bytes_are_ids_of_floats(tokenizer, video):
    ids = tokenizer.encode(video)
    assert ids.shape == (8, 3, 8, 8) and ids.dtype == jnp.int32
    assert len(np.unique(ids)) > 4
    np.testing.assert_array_equal(ids, tokenizer.encode(video.astype(np.float32) / 255.0))
    np.testing.assert_array_equal(ids, tokenizer.encode(video / 255.0))  # float64
    np.testing.assert_array_equal(ids, tokenizer.encode(jnp.asarray(video)))


def test_images_are_videos_of_one_frame(tokenizer, video):
    images = video[:, 0]
    ids = tokenizer.encode(images)
    assert ids.shape == (8, 1, 8, 8)
    np.testing.assert_array_equal(ids, tokenizer.encode(video[:, :1]))
    assert tokenizer.decode(ids).shape == (8, 1, 16, 16, 3)


def test_decoded_pixels_are_in_range(tokenizer, video):
    output = tokenizer.reconstruct(video)
    assert output.shape == video.shape and output.dtype == jnp.float32
    assert float(output.min()) >= 0.0 and float(output.max()) <= 1.0
    np.testing.assert_array_equal(output, tokenizer.decode(tokenizer.encode(video)))


def test_other_sizes_than_that_of_training_work(tokenizer):
    ids = tokenizer.encode(np.zeros((1, 3, 8, 20, 3), np.uint8))
    assert ids.shape == (1, 2, 4, 10)


def with_nan():
    video = np.zeros((1, 5, 16, 16, 3), np.float32)
    video[0, 0, 0, 0, 0] = np.nan
    return video


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (np.zeros((5, 16, 3), np.uint8), r"shape \[5, 16, 3\]; expected \[B, T, H, W, 3\]"),
        (np.zeros((1, 5, 16, 16, 1), np.uint8), r"shape \[1, 5, 16, 16, 1\]"),
        (np.zeros((1, 5, 16, 16, 3), np.int32), "dtype int32; expected uint8"),
        (np.zeros((1, 5, 16, 16, 3), bool), "dtype bool"),
        (np.full((1, 5, 16, 16, 3), 255.0, np.float32), "255 to 255; expected 0 to 1"),
        (np.full((1, 5, 16, 16, 3), -0.5, np.float32), "-0.5"),
        (with_nan(), "NaN; expected 0 to 1"),
        (np.zeros((1, 4, 16, 16, 3), np.uint8), r"4 frames of 16x16: frames must be 1 \+ a multiple of 2"),
        (np.zeros((1, 4, 16, 13, 3), np.uint8), "width a multiple of 2; nearest are 5 frames of 16x14"),
        (np.zeros((1, 0, 1, 16, 3), np.uint8), "height a multiple of 2, .*; nearest are 1 frames of 2x16"),
        ([[1, 2], [3, 4]], "shape"),
    ],
)
def test_what_is_no_video_is_named(tokenizer, video, message):
    with pytest.raises(UserError, match=message):
        tokenizer.encode(video)


def test_a_network_has_to_say_how_it_compresses():
    class Half(TokenizerModel):
        width: int

        @property
        def compression(self):
            return 1, 2, 2

    with pytest.raises(TypeError, match="abstract methods causal, leading_frame"):
        Half(width=3)


@pytest.mark.parametrize(("stage", "method"), [(Encoder, "downsample"), (Decoder, "upsample")])
def test_a_stage_has_to_say_how_it_changes_the_resolution(stage, method):
    with pytest.raises(TypeError, match=f"abstract method '?{method}"):
        stage()


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.full((1, 3, 8, 8), 64), "64 to 64; expected 0 to 63"),
        (np.full((1, 3, 8, 8), -1), "expected 0 to 63"),
        (np.zeros((3, 8, 8), np.int32), r"\[3, 8, 8\]; expected integers \[B, t, h, w\]"),
        (np.zeros((1, 3, 8, 8), np.float32), "float32"),
    ],
)
def test_what_are_no_ids_is_named(tokenizer, ids, message):
    with pytest.raises(UserError, match=message):
        tokenizer.decode(ids)


@pytest.mark.parametrize("batch", [8, 3])  # 3 do not divide among the devices
def test_a_mesh_changes_no_id(tokenizer, params, video, batch):
    mesh = make_mesh({"data": 2, "fsdp": 2, "tensor": 2})
    spread = Tokenizer(MODEL, params, CLIP, mesh=mesh)
    assert any(not x.sharding.is_fully_replicated for x in jax.tree.leaves(spread.params))
    video = video[:batch]
    encode = jax.jit(lambda video: MODEL.apply({"params": params}, video, method="encode"))
    z = np.asarray(encode(video.astype(np.float32) / 255.0))
    sure = np.all(np.abs(z) > 1e-4, axis=-1)
    ids = np.asarray(tokenizer.encode(video))
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(np.asarray(spread.encode(video))[sure], ids[sure])
    np.testing.assert_allclose(spread.decode(ids), tokenizer.decode(ids), atol=1e-5)
