"""How pixels are prepared and padded, against numbers worked out by hand; PyTorch is in tests/oracles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from magvit_jax.errors import UserError
from magvit_jax.pretrained import i3d, inception, vision
from magvit_jax.pretrained.c3d import C3D
from magvit_jax.pretrained.inception import InceptionV3
from magvit_jax.pretrained.layers import ConvNorm, FrozenBatchNorm, window_mean
from magvit_jax.pretrained.lpips import ALEXNET, LpipsMaps
from magvit_jax.pretrained.resize import interpolation, resize


@pytest.mark.parametrize(
    ("convention", "expected"),
    [
        ("corner", [0, 1, 2, 3, 4, 4]),  # positions 0, 1/2, 1, 3/2, 2 (and 5/2, beyond the last)
        ("centre", [0, 0.5, 1.5, 2.5, 3.5, 4]),  # positions -1/4, 1/4, 3/4, ...
        ("aligned", [0, 0.8, 1.6, 2.4, 3.2, 4]),  # positions 0, 2/5, 4/5, ...
    ],
)
def test_resizing_by_hand(convention, expected):
    """Three columns of 0, 2, 4 become six; rows stay."""
    x_NHWC = jnp.asarray([0.0, 2.0, 4.0])[None, None, :, None] * jnp.ones((1, 2, 3, 1))
    found = resize(x_NHWC, (2, 6), convention)
    np.testing.assert_allclose(found[0, :, :, 0], [expected, expected], atol=1e-6)


def test_resizing_down_does_not_antialias():
    """Ten columns to four look at positions 0, 2.5, 5, 7.5 alone; clips are resized as pictures are."""
    weights_IO = np.asarray(interpolation(10, 4, "corner"))
    assert [np.flatnonzero(weights_IO[:, column]).tolist() for column in (1, 2)] == [[2, 3], [5]]
    for convention in ("corner", "centre", "aligned"):
        np.testing.assert_allclose(interpolation(7, 5, convention).sum(0), np.ones(5), atol=1e-6)
    video = np.random.default_rng(0).random((2, 3, 10, 8, 3)).astype(np.float32)
    whole = resize(jnp.asarray(video), (4, 8), "corner")
    np.testing.assert_allclose(whole[1, 2], resize(jnp.asarray(video[1, 2]), (4, 8), "corner"), atol=1e-6)
    np.testing.assert_allclose(whole[:, :, 1], (video[:, :, 2] + video[:, :, 3]) / 2, atol=1e-6)


def test_what_each_network_is_given():
    """Two columns of pixels: the first in all channels, and which output column lies how far between them."""
    video = jnp.asarray([[[[[0, 51, 255], [255, 51, 0]]] * 2]], jnp.uint8)
    i3d_BTHWC, c3d_BTHWC = vision.for_i3d(video), vision.for_c3d(video)
    assert (i3d_BTHWC.shape, c3d_BTHWC.shape) == ((1, 1, 224, 224, 3), (1, 1, 112, 112, 3))
    np.testing.assert_allclose(i3d_BTHWC[0, 0, 99, 0], [-1, -0.6, 1], atol=1e-5)
    np.testing.assert_allclose(i3d_BTHWC[0, 0, 0, [0, 56, 112, 168], 0], [-1, 0, 1, 1], atol=1e-5)
    np.testing.assert_allclose(c3d_BTHWC[0, 0, 50, 0], [255, 51, 0], atol=1e-3)
    np.testing.assert_allclose(c3d_BTHWC[0, 0, 0, [0, 37, 111], 2], [0, 85, 255], atol=1e-3)
    x_NHWC = vision.for_inception(video[0])
    assert x_NHWC.shape == (1, 299, 299, 3)
    np.testing.assert_allclose(x_NHWC[0, 7, 0], [-1, (51 - 128) / 128, 127 / 128], atol=1e-5)
    expected = [(255 * min(place * 2 / 299, 1) - 128) / 128 for place in (92, 184)]
    np.testing.assert_allclose(x_NHWC[0, 0, [92, 184], 0], expected, atol=1e-5)
    expected = [-0.485 / 0.229, (0.2 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    np.testing.assert_allclose(vision.for_resnet(video[0])[0, 1, 0], expected, atol=1e-5)
    for pixels in (video[0], video[0].astype(jnp.float32) / 255):
        np.testing.assert_allclose(vision.for_lpips(pixels)[0, 1, 0], [-1, -0.6, 1], atol=1e-6)


def test_frozen_normalisation_by_hand():
    params = {"scale": [2.0], "bias": [1.0], "mean": [3.0], "var": [0.24]}
    x = jnp.asarray([[3.0], [4.0]])
    params = {name: jnp.asarray(value) for name, value in params.items()}
    found = FrozenBatchNorm(0.01).apply({"params": params}, x)
    np.testing.assert_allclose(found, [[1], [1 + 2 / 0.5]], rtol=1e-6)


@pytest.mark.parametrize(("length", "first"), [(6, 0), (5, -1)])
def test_same_padding_of_a_strided_convolution(length, first):
    """Three taps, stride 2: 6 elements are padded behind only, 5 on both sides; where the windows begin."""
    layer = ConvNorm(1, (3, 1, 1), (2, 1, 1), "SAME", 0.0, relu=False)
    x = jnp.arange(1.0, length + 1).reshape(1, length, 1, 1, 1)
    kernel = jnp.asarray([1.0, 10.0, 100.0]).reshape(3, 1, 1, 1, 1)
    norm = {"scale": jnp.ones(1), "bias": jnp.zeros(1), "mean": jnp.zeros(1), "var": jnp.ones(1)}
    found = layer.apply({"params": {"conv": {"kernel": kernel}, "bn": norm}}, x).ravel()
    padded = dict(enumerate(range(1, length + 1)))
    starts = range(first, first + 6, 2)
    expected = [sum(padded.get(start + tap, 0) * 10**tap for tap in range(3)) for start in starts]
    np.testing.assert_allclose(found, expected)


def test_mean_pooling_does_not_count_the_padding():
    x = jnp.arange(1.0, 10.0).reshape(1, 3, 3, 1)
    found = inception.mean_pool(x)[0, :, :, 0]
    assert found.tolist() == [[3, 3.5, 4], [4.5, 5, 5.5], [6, 6.5, 7]]  # 3 is the mean of 1, 2, 4, 5


def test_window_means():
    x = jnp.arange(8.0).reshape(1, 2, 2, 2, 1)
    assert window_mean(x, (2, 1, 2)).ravel().tolist() == [2.5, 4.5]  # of 0, 1, 4, 5 and of 2, 3, 6, 7


def test_the_blocks_of_i3d_end_where_its_logits_begin():
    widths = list(i3d.BLOCKS.values())
    outputs = [row[0] + row[2] + row[4] + row[5] for row in widths]
    assert outputs == [256, 480, 512, 512, 512, 528, 832, 832, 1024]


def shapes_of(module, *shape):
    key = jax.eval_shape(lambda: jax.random.key(0))
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(lambda key, x: module.init_with_output(key, x)[0], key, x)


def test_shapes_at_full_size():
    video = shapes_of(i3d.I3D(), 2, 16, 224, 224, 3)
    assert {name: x.shape for name, x in video.items()} == {"logits": (2, 400), "pooled": (2, 1024)}
    picture = shapes_of(InceptionV3(), 2, 299, 299, 3)
    expected = {"pooled": (2, 2048), "logits": (2, 1008), "logits_unbiased": (2, 1008)}
    assert {name: x.shape for name, x in picture.items()} == expected
    clip = shapes_of(C3D(), 2, 16, 112, 112, 3)
    assert {name: x.shape for name, x in clip.items()} == {"logits": (2, 101), "features": (2, 4096)}


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (i3d.I3D(), (1, 8, 224, 224, 3), "i3d: clips of 8 frames; expected at least 9"),
        (i3d.I3D(), (1, 9, 224, 192, 3), "i3d: frames of 224 x 192; expected at least 193 x 193"),
        (C3D(), (1, 15, 112, 112, 3), r"c3d: clips \[15, 112, 112, 3\]; expected \[16, 112, 112, 3\]"),
        (InceptionV3(), (1, 299, 74, 3), "inception: pictures of 299 x 74; expected at least 75 x 75"),
        (LpipsMaps(ALEXNET), (1, 31, 64, 3), "lpips: pictures of 31 x 64; expected at least 32 x 32"),
    ],
)
def test_inputs_that_are_too_small(module, shape, message):
    with pytest.raises(UserError, match=message):
        shapes_of(module, *shape)


def test_the_smallest_inputs_are_legal():
    for module, shape in (
        (i3d.I3D(), (1, i3d.MIN_FRAMES, i3d.MIN_SIDE, i3d.MIN_SIDE, 3)),
        (InceptionV3(), (1, inception.MIN_SIDE, inception.MIN_SIDE, 3)),
        (LpipsMaps(ALEXNET), (1, 32, 32, 3)),
    ):
        for x in jax.tree.leaves(shapes_of(module, *shape)):
            assert 0 not in x.shape
