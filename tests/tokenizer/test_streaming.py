"""Streams: chunk by chunk what the whole clip gives, bounded, padded and cropped; mistakes are named by their frame."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import random_params

from magvit_jax.errors import UserError
from magvit_jax.nn.stream import STREAM
from magvit_jax.partitioning import BATCH_AXES, make_mesh
from magvit_jax.tokenizer import lfq
from magvit_jax.tokenizer.magvit import Magvit
from magvit_jax.tokenizer.magvit2 import MagvitV2
from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer, VectorQuantizer
from magvit_jax.tokenizer.streaming import carrying, chunk_step
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer

FIELDS = dict(
    base_channels=8,
    channel_multipliers=(1, 2, 1),
    strides=((2, 2, 2), (2, 1, 1)),
    blocks=0,
    mid_blocks=0,
    quantizer=LookupFreeQuantizer(5),
    norm_groups=4,
)
VARIANTS = dict(
    default={},
    early=dict(strides=((3, 2, 2), (1, 1, 1)), adaptive_norm="spatial", mid_blocks=1, remat=True),
    slow=dict(strides=((1, 2, 2), (5, 1, 1)), adaptive_norm="none", patch=2),
    pooled=dict(downsampler="average", upsampler="nearest", adaptive_norm="moments"),
    open=dict(kept_frame="first", adaptive_norm="moments", stem_bias=False),
    image=dict(strides=((1, 2, 2), (1, 1, 1)), time_kernel=1),
)


@functools.cache
def tiny(**fields):
    """A tokenizer with random parameters; its clips have 1 + 2 s frames."""
    model = MagvitV2(**(FIELDS | fields))
    clip = ClipFormat(1 + 2 * model.compression[0], 8, 8)
    return Tokenizer(model, random_params(model, clip.shape), clip)


def pixels(frames, height=8, width=8, batch=1, seed=0):
    """Squares of primary colours that change from frame to frame."""
    rng = np.random.default_rng(seed)
    small = 255 * rng.integers(0, 2, (batch, frames, -(-height // 4), -(-width // 4), 3), dtype=np.uint8)
    return small.repeat(4, axis=2).repeat(4, axis=3)[:, :, :height, :width]


@functools.cache
def compiled(model, method):
    return jax.jit(functools.partial(model.apply, method=method))


def apply(tokenizer, method, x):
    return np.asarray(compiled(tokenizer.model, method)({"params": tokenizer.params}, x))


def parts(x, lengths):
    ends = list(itertools.accumulate(lengths))
    assert ends[-1] == x.shape[1]
    return [x[:, end - length : end] for end, length in zip(ends, lengths, strict=True)]


def streamed(tokenizer, method, x, lengths):
    run = carrying(chunk_step(tokenizer.model, method, None), tokenizer.params, None, windows=False)
    return np.concatenate([run(part) for part in parts(x, lengths)], axis=1)


def joined(stream):
    return np.concatenate(list(stream), axis=1)


def require_same_ids(tokenizer, video, ids):
    """Equal to those of the whole clip wherever no bit is a toss-up."""
    z = apply(tokenizer, "encode", video.astype(np.float32) / 255.0)
    sure = np.all(np.abs(z) > 1e-4, axis=-1)
    assert sure.mean() > 0.9 and len(np.unique(ids)) > 2
    np.testing.assert_array_equal(ids[sure], np.asarray(lfq.codes_to_ids(lfq.quantize(z)))[sure])


@pytest.mark.parametrize(
    ("name", "latents"),
    [("default", (1, 1, 1, 1, 1)), ("default", (3, 2)), *((name, (2, 1, 1, 1)) for name in VARIANTS)],
)
def test_chunks_give_the_values_of_the_whole_clip(name, latents):
    tokenizer = tiny(**VARIANTS[name])
    s = tokenizer.model.compression[0]
    video = jnp.asarray(pixels(1 + 4 * s, batch=2), jnp.float32) / 255.0
    frames = [latents[0] * s - s + 1, *(n * s for n in latents[1:])]
    z = apply(tokenizer, "encode", video)
    assert z.std() > 0.1
    np.testing.assert_allclose(streamed(tokenizer, "encode", video, frames), z, atol=1e-5)
    codes = jnp.where(z > 0, 1.0, -1.0)
    output = apply(tokenizer, "decode", codes)
    assert output.std() > 0.1
    np.testing.assert_allclose(streamed(tokenizer, "decode", codes, latents), output, atol=1e-5)


def test_a_chunk_without_its_past_is_another_one():
    tokenizer = tiny()
    video = jnp.asarray(pixels(17), jnp.float32) / 255.0
    z = apply(tokenizer, "encode", video)
    late = apply(tokenizer, "encode", video[:, 8:])
    assert np.abs(late - z[:, 2:]).max() > 1e-2


@pytest.mark.parametrize("chunk", [1, 3])
def test_ids_and_pixels_are_those_of_the_whole_clip(chunk):
    tokenizer = tiny()
    video = pixels(17, batch=2)
    ids = joined(tokenizer.encode_stream(parts(video, (1, 7, 9)), chunk))
    assert ids.shape == (2, 5, 4, 4) and ids.dtype == np.int32
    require_same_ids(tokenizer, video, ids)
    output = joined(tokenizer.decode_stream(parts(ids, (3, 2)), chunk))
    assert output.shape == video.shape
    np.testing.assert_allclose(output, tokenizer.decode(ids), atol=1e-5)


def test_single_frames_are_a_batch_of_one():
    tokenizer = tiny()
    video = pixels(13)
    chunks = [np.asarray(ids) for ids in tokenizer.encode_stream(iter(video[0]), chunk=3)]
    assert [ids.shape for ids in chunks] == [(1, 3, 4, 4), (1, 1, 4, 4)]
    require_same_ids(tokenizer, video, np.concatenate(chunks, axis=1))
    floats = [frame.astype(np.float32) / 255.0 for frame in video[0]]
    np.testing.assert_array_equal(
        joined(tokenizer.encode_stream(floats, chunk=3)), np.concatenate(chunks, axis=1)
    )


@pytest.mark.parametrize("frames", [1, 6, 12])
def test_an_end_between_latents_is_padded_by_the_last_frame(frames):
    tokenizer = tiny()
    video = pixels(frames)
    full, *_ = tokenizer.stream_size(frames, 8, 8)
    assert full == 1 + 4 * -(-(frames - 1) // 4)
    padded = np.concatenate([video, np.repeat(video[:, -1:], full - frames, axis=1)], axis=1)
    ids = joined(tokenizer.encode_stream([video], chunk=2))
    require_same_ids(tokenizer, padded, ids)
    output = joined(tokenizer.decode_stream([ids], chunk=2, frames=frames))
    np.testing.assert_allclose(output, tokenizer.decode(ids)[:, :frames], atol=1e-5)
    np.testing.assert_allclose(joined(tokenizer.reconstruct_stream([video], chunk=2)), output, atol=1e-5)


def test_other_sizes_are_padded_by_their_edge_and_cropped_back():
    tokenizer = tiny()
    video = pixels(9, 7, 9)
    assert tokenizer.stream_size(9, 7, 9) == (9, 8, 10)
    padded = np.pad(video, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), mode="edge")
    ids = joined(tokenizer.encode_stream(video[0], chunk=1))
    require_same_ids(tokenizer, padded, ids)
    output = joined(tokenizer.decode_stream([ids], height=7, width=9))
    np.testing.assert_allclose(output, tokenizer.decode(ids)[:, :, :7, :9], atol=1e-5)
    np.testing.assert_allclose(joined(tokenizer.reconstruct_stream(video[0])), output, atol=1e-5)
    with pytest.raises(UserError, match="9 frames of 7x9: .* height a multiple of 2, width a multiple of 2"):
        tokenizer.encode(video)


def test_each_shape_is_compiled_once_and_the_state_stays_small():
    tokenizer = Tokenizer(tiny().model, tiny().params, tiny().clip)
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield pixels(1, seed=taken)[0, 0]

    stream = tokenizer.reconstruct_stream(endless(), chunk=2)
    for i in range(6):
        assert next(stream).shape == (1, 8 if i else 5, 8, 8, 3)
        assert taken == 5 + 8 * i  # nothing is read before it is needed
    assert tokenizer._encode_chunk._cache_size() == tokenizer._decode_chunk._cache_size() == 2


def test_the_state_is_donated_and_keeps_its_shapes():
    tokenizer = tiny()
    step = chunk_step(tokenizer.model, "encode", None)
    video = jnp.asarray(pixels(13), jnp.float32) / 255.0
    _, first = step(tokenizer.params, None, video[:, :5])
    shapes = jax.tree.map(jnp.shape, first)
    _, second = step(tokenizer.params, first, video[:, 5:9])
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(first) if leaf.ndim)  # a mark takes no room
    assert jax.tree.map(jnp.shape, second) == shapes
    assert {leaf.shape[1] for leaf in jax.tree.leaves(second) if leaf.ndim} == {
        2
    }  # frames of a 3x3x3 convolution


def test_parameters_alone_know_nothing_of_streams():
    model = tiny().model
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 5, 8, 8, 3)))
    assert set(variables) == {"params"} and STREAM not in variables


def test_a_model_that_is_not_causal_sees_windows():
    tokenizer = tiny(statistics="clip")  # of nine frames
    video = pixels(21)
    assert not tokenizer.model.streams and tokenizer.stream_size(21, 7, 8) == (27, 8, 8)
    filled = np.concatenate([video, np.repeat(video[:, -1:], 6, axis=1)], axis=1)
    ids = [np.asarray(part) for part in tokenizer.encode_stream(video[0])]
    for part, window in zip(ids, parts(filled, (9, 9, 9)), strict=True):
        np.testing.assert_array_equal(part, tokenizer.encode(window))
    output = joined(tokenizer.decode_stream(ids, frames=21))
    np.testing.assert_allclose(output[:, 9:18], tokenizer.decode(ids[1]), atol=1e-6)
    np.testing.assert_array_equal(joined(tokenizer.reconstruct_stream(video[0])), output)
    with pytest.raises(UserError, match="chunk is 2: .* a window has 9 frames; expected None"):
        tokenizer.encode_stream(video[0], chunk=2)


def test_windows_of_a_model_that_streams():
    tokenizer = tiny()  # of nine frames
    video = pixels(18)
    ids = [np.asarray(part) for part in tokenizer.encode_stream(video[0], windows=True)]
    for part, window in zip(ids, parts(video, (9, 9)), strict=True):
        np.testing.assert_array_equal(part, tokenizer.encode(window))
    expected = np.concatenate([tokenizer.decode(part) for part in ids], axis=1)
    np.testing.assert_allclose(joined(tokenizer.decode_stream(ids, windows=True)), expected, atol=1e-5)
    np.testing.assert_allclose(joined(tokenizer.reconstruct_stream([video], windows=True)), expected, atol=1e-5)
    with pytest.raises(UserError, match="chunk is 2: windows are asked for"):
        tokenizer.encode_stream(video[0], chunk=2, windows=True)


def test_windows_of_a_model_without_a_leading_frame():
    model = Magvit(
        base_channels=8,
        channel_multipliers=(1, 1),
        temporal_downsample=(True,),
        blocks=0,
        mid_blocks=0,
        quantizer=VectorQuantizer(16, 4),
        norm_groups=4,
    )
    tokenizer = Tokenizer(model, random_params(model, (4, 8, 8)), ClipFormat(4, 8, 8))
    video = pixels(5, 7, 8)
    assert tokenizer.stream_size(5, 7, 8) == (8, 8, 8)
    filled = np.pad(video, ((0, 0), (0, 3), (0, 1), (0, 0), (0, 0)), mode="edge")
    expected = [tokenizer.encode(window) for window in parts(filled, (4, 4))]
    assert expected[0].shape == (1, 2, 4, 4)
    ids = joined(tokenizer.encode_stream(video[0]))
    np.testing.assert_array_equal(ids, np.concatenate(expected, axis=1))
    output = joined(tokenizer.reconstruct_stream(video[0]))
    assert output.shape == video.shape
    decoded = np.concatenate([tokenizer.decode(part) for part in expected], axis=1)
    np.testing.assert_allclose(output, decoded[:, :5, :7], atol=1e-6)


def test_several_videos_over_a_mesh():
    mesh = make_mesh({"data": 4, "fsdp": 2})
    alone = tiny()
    spread = Tokenizer(alone.model, jax.tree.map(np.asarray, alone.params), alone.clip, mesh=mesh)
    video = pixels(14, batch=8)
    ids = list(spread.encode_stream(parts(video, (6, 8)), chunk=2))
    assert ids[1].sharding.spec[0] == BATCH_AXES
    np.testing.assert_array_equal(np.concatenate(ids, axis=1), joined(alone.encode_stream([video], chunk=2)))
    assert spread._encode_chunk._cache_size() == 2
    _, state = spread._encode_chunk(spread.params, None, jnp.zeros((8, 5, 8, 8, 3)))
    histories = [leaf for leaf in jax.tree.leaves(state) if leaf.ndim]
    assert histories and all(leaf.sharding.spec[0] == BATCH_AXES for leaf in histories)
    output = joined(spread.decode_stream(ids, chunk=2, frames=14))
    np.testing.assert_allclose(output, joined(alone.decode_stream(ids, chunk=2, frames=14)), atol=1e-5)


def spoiled(frame, value, dtype=np.float32):
    frames = [np.full((8, 8, 3), 0.5, dtype) for _ in range(frame + 3)]
    frames[frame][3, 4, 1] = value
    return frames


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (spoiled(7, np.nan), "frame 7: video of float pixels: NaN; expected 0 to 1"),
        (spoiled(0, 255.0), "frame 0: video of float pixels: 0.5 to 255; expected 0 to 1"),
        (spoiled(12, -0.5), "frame 12: video of float pixels: -0.5 to 0.5"),
        (
            [np.stack([spoiled(6, 0.5)[:6], spoiled(3, np.nan)])],
            "frame 3 of video 1: video of float pixels: NaN",
        ),
        ([np.zeros((8, 8, 3), np.int32)], "frame 0: video of dtype int32; expected uint8"),
        (
            [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.float32)],
            r"frame 1 is of float32 \[1, t, 8, 8, 3\]",
        ),
        (
            [pixels(2), pixels(1, 8, 10)],
            r"frame 2 is of uint8 \[1, t, 8, 10, 3\]; the stream began with uint8 \[1, t, 8",
        ),
        ([pixels(1), pixels(1, batch=2)], "frame 1 is of"),
        (pixels(6), r"frame 0: video of shape \[6, 8, 8, 3\]; expected frames \[H, W, 3\] or chunks \[B, T"),
        ([np.zeros((8, 8, 4), np.uint8)], r"shape \[8, 8, 4\]"),
        ([None], r"frame 0: video of shape \[\]"),
    ],
)
def test_what_is_no_video_is_named_by_its_frame(frames, message):
    with pytest.raises(UserError, match=message):
        joined(tiny().encode_stream(frames, chunk=2))


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([np.zeros((1, 2, 4, 4), np.int32), np.full((1, 3, 4, 4), 32)], "latent frame 2 is of int64"),
        (
            [np.zeros((1, 2, 4, 4), int), np.full((1, 3, 4, 4), 32)],
            "latent frame 2: ids: 32 to 32; expected 0 to 31",
        ),
        ([np.zeros((1, 2, 4, 4), np.float32)], "latent frame 0: ids: float32"),
        (
            [np.zeros((4, 4), np.int32)],
            r"latent frame 0: ids: int32 \[4, 4\]; expected integers \[B, t, h, w\]",
        ),
    ],
)
def test_what_are_no_ids_is_named_by_the_latent_frame(ids, message):
    with pytest.raises(UserError, match=message):
        joined(tiny().decode_stream(ids, chunk=2))


def test_crops_that_do_not_fit_and_chunks_that_are_none():
    tokenizer = tiny()
    ids = np.zeros((1, 2, 4, 4), np.int32)
    with pytest.raises(UserError, match="frames is 6: the ids are of 5 frames"):
        joined(tokenizer.decode_stream([ids], chunk=2, frames=6))
    with pytest.raises(UserError, match="height is 9: the ids are of 8 pixels"):
        joined(tokenizer.decode_stream([ids], chunk=2, height=9))
    for chunk in (0, 1.5, True):
        with pytest.raises(UserError, match=f"chunk is {chunk!r}: expected a whole number"):
            tokenizer.encode_stream([], chunk)
    with pytest.raises(UserError, match="width is 0: expected 1 or more"):
        tokenizer.stream_size(5, 8, 0)
    assert list(tokenizer.reconstruct_stream([])) == []
