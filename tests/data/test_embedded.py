"""The moving digits: reproducible, disjoint, balanced, within the view, and moving as their labels say."""

import pickle

import numpy as np
import pytest

from magvit_jax.data import ClipSpec, MovingDigits
from magvit_jax.data.embedded import MOTIONS, digit_images, render_clip
from magvit_jax.errors import UserError

SPEC = ClipSpec(9, 32, 32)
LABEL = {name: label for label, name in enumerate(MOTIONS)}


def clips(split, indices, spec=SPEC, seed=0):
    source = MovingDigits(split, size=1000, seed=seed)
    return np.stack([source.clip(i, None, spec, True)["video"] for i in indices])


def of_motion(name, number=12, spec=SPEC, split="test"):
    return clips(split, [LABEL[name] + len(MOTIONS) * i for i in range(number)], spec)


def ink(video):
    """How far each pixel is from the corner of the background, [..., H, W]."""
    video = video.astype(np.float64)
    background = np.median(video, axis=(-4, -3, -2), keepdims=True)
    return np.abs(video - background).sum(-1)


def centre(video):
    """Centre of the ink in every frame, [..., T, 2] (y, x)."""
    weight = ink(video)
    grid = np.stack(np.meshgrid(*map(np.arange, weight.shape[-2:]), indexing="ij"), -1)
    return (weight[..., None] * grid).sum((-3, -2)) / weight.sum((-2, -1))[..., None]


def psnr(a, b):
    error = ((a.astype(np.float64) - b) ** 2).reshape(len(a), -1).mean(1)
    return (10 * np.log10(255**2 / error)).mean()


def test_same_seed_same_clip_whatever_was_asked_before():
    first, again = clips("train", [7, 3]), clips("train", [3, 7])
    np.testing.assert_array_equal(first, again[::-1])
    assert not np.array_equal(clips("train", [3]), clips("train", [3], seed=1))
    assert not np.array_equal(clips("train", [3]), clips("test", [3]))
    assert first.dtype == np.uint8 and first.shape == (2, 9, 32, 32, 3)


def test_cached_uncached_and_unpickled_agree():
    source = MovingDigits("train", size=20, cache_mb=1)
    small = MovingDigits("train", size=20, cache_mb=0)
    copy = pickle.loads(pickle.dumps(source))
    for _ in range(2):
        for index in (0, 13):
            want, _ = render_clip(0, "train", index, 9, 32, 32)
            for each in (source, small, copy):
                np.testing.assert_array_equal(each.clip(index, None, SPEC, True)["video"], want)


def test_splits_share_no_image_and_are_class_balanced():
    from sklearn.datasets import load_digits

    train, test = digit_images("train").reshape(-1, 64), digit_images("test").reshape(-1, 64)
    assert (len(train), len(test)) == (1500, 297)
    pixels, digits = load_digits(return_X_y=True)
    assert not {row.tobytes() for row in train} & {row.tobytes() for row in test}
    digit_of = {
        (row / 16).astype(np.float32).tobytes(): digit for row, digit in zip(pixels, digits, strict=True)
    }
    counts = np.bincount([digit_of[row.tobytes()] for row in test])
    assert counts.min() >= 29 and counts.max() <= 30


def test_labels_are_balanced_in_any_prefix():
    source = MovingDigits("test", size=1)
    labels = [int(source.clip(i, None, ClipSpec(1, 8, 8), False)["label"]) for i in range(250)]
    assert len(source.class_names) >= 10 and set(np.bincount(labels)) == {25}


@pytest.mark.parametrize(
    "name,axis,sign", [("move_right", 1, 1), ("move_left", 1, -1), ("move_down", 0, 1), ("move_up", 0, -1)]
)
def test_moves_go_where_they_say_at_constant_speed(name, axis, sign):
    step = np.diff(centre(of_motion(name)), axis=1)
    assert (sign * step[..., axis] > 0.8).all()  # pixels a frame, of 32
    np.testing.assert_allclose(step[..., 1 - axis], 0, atol=0.25)
    assert step[..., axis].std(axis=1).max() < 0.2


@pytest.mark.parametrize("name,sign", [("orbit_clockwise", 1), ("orbit_counterclockwise", -1)])
def test_orbits_turn_the_right_way_from_the_first_frames_on(name, sign):
    step = np.diff(centre(of_motion(name)), axis=1)
    turn = (
        step[:, :-1, 1] * step[:, 1:, 0] - step[:, :-1, 0] * step[:, 1:, 1]
    )  # y points down: clockwise is positive
    assert (sign * turn > 0).all()


@pytest.mark.parametrize("name,sign", [("spin_clockwise", 1), ("spin_counterclockwise", -1)])
def test_spins_turn_the_right_way(name, sign):
    from scipy.ndimage import rotate

    video = ink(of_motion(name, 6, ClipSpec(9, 64, 64)))
    for clip in video:
        middle = np.round(centre_of_box(clip.max(0))).astype(int)
        half = min(*middle, *(np.array(clip.shape[1:]) - 1 - middle))
        box = clip[:, middle[0] - half : middle[0] + half + 1, middle[1] - half : middle[1] + half + 1]
        angles = (-30, 30)  # degrees; scipy turns counterclockwise on the screen for positive angles
        errors = [np.abs(rotate(box[2], angle, reshape=False, order=1) - box[3]).mean() for angle in angles]
        assert (errors[0] < errors[1]) == (sign > 0)


def centre_of_box(mask):
    rows, columns = np.nonzero(mask.max(1) > 60)[0], np.nonzero(mask.max(0) > 60)[0]
    return np.array([rows.min() + rows.max(), columns.min() + columns.max()]) / 2


@pytest.mark.parametrize("name,sign", [("grow", 1), ("shrink", -1)])
def test_growing_and_shrinking(name, sign):
    area = (ink(of_motion(name)) > 100).sum((-2, -1))
    assert (sign * np.diff(area[:, ::2].astype(int), axis=1) > 0).all()


def test_digits_stay_in_view():
    video = clips("test", range(200), ClipSpec(9, 64, 64))
    total = ink(video).sum((-2, -1))
    for name in ("move_right", "move_left", "move_down", "move_up"):  # ink would get lost at an edge
        mine = total[LABEL[name] :: len(MOTIONS)]
        assert (mine.min(1) > 0.9 * mine.max(1)).all()


def test_size_and_frame_count_scale_the_same_motion():
    small, large = of_motion("orbit_clockwise", 4), of_motion("orbit_clockwise", 4, ClipSpec(17, 64, 64))
    np.testing.assert_allclose(centre(large)[:, ::2] / 64, centre(small) / 32, atol=0.02)
    assert clips("train", [0], ClipSpec(5, 40, 72)).shape == (1, 5, 40, 72, 3)
    assert clips("train", [0], ClipSpec(1, 16, 16)).shape == (1, 1, 16, 16, 3)


def test_standing_still_is_a_poor_prediction():
    video = clips("test", range(100))
    assert 13.5 < psnr(video[:, 5:], video[:, 4:5]) < 18
    assert 15 < psnr(video, video.astype(np.float64).mean(1, keepdims=True)) < 18.5


def test_what_would_change_the_labels_is_refused():
    source = MovingDigits("train", size=1)
    with pytest.raises(UserError, match="flip"):
        source.clip(0, None, ClipSpec(9, 32, 32, flip=True), True)
    with pytest.raises(UserError, match="stride"):
        source.clip(0, None, ClipSpec(9, 32, 32, stride=2), True)
    with pytest.raises(UserError, match="size"):
        MovingDigits("train", size=0)
