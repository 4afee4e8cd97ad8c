"""The digits' sound, flow and depth say what their pixels show."""

import numpy as np
import pytest

from magvit_jax.data import ClipSpec, MovingDigits, MultimodalSpec, SoundingDigits
from magvit_jax.data.embedded import MOTIONS, digit_images, digit_values
from magvit_jax.errors import UserError

SPEC = MultimodalSpec(
    frames=9, height=32, width=32, fps=8.0, samples=8960, sample_rate=8_000, flip=False, random_crop=False
)
LABELS = {name: label for label, name in enumerate(MOTIONS)}
FIELDS = dict(
    size=100,
    seed=0,
    sound="required",
    captions="labels",
    templates=("{digit}: {label}",),
    companions={"flow": "rendered", "depth": "rendered"},
    cache_mb=64,
)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(scope="module")
def clips():
    source = SoundingDigits("train", **FIELDS)
    return [source.clip(index, np.random.default_rng(0), SPEC, True) for index in range(100)]


def of_motion(clips, name):
    return [clip for clip in clips if clip["label"] == LABELS[name]]


def pitch(audio_S):
    """Hz of the strongest of the lower partials, by the autocorrelation's first high peak."""
    audio_S = audio_S - audio_S.mean()
    similar = np.correlate(audio_S, audio_S, "full")[audio_S.size - 1 :] / np.sum(audio_S**2)
    lags = np.arange(SPEC.sample_rate // 2000, SPEC.sample_rate // 80)
    best = similar[lags].max()
    peaks = [lag for lag in lags if similar[lag] >= max(similar[lag - 1], similar[lag + 1])]
    return SPEC.sample_rate / next(lag for lag in peaks if similar[lag] > 0.9 * best)


def parts(clip, share=0.15):
    """Sound at the beginning and at the end."""
    size = int(share * SPEC.samples)
    last = int(SPEC.samples * 8 / 9)  # when the last frame is shown
    return clip["audio"][:size], clip["audio"][last - size : last]


def test_pixels_are_those_of_the_moving_digits(clips):
    silent = MovingDigits("train", size=100)
    for index in (0, 3, 27):
        video = silent.clip(index, np.random.default_rng(0), ClipSpec(9, 32, 32), True)["video"]
        np.testing.assert_array_equal(clips[index]["video"], video)


def test_captions_name_the_digit_that_is_shown(clips):
    digit, label = clips[7]["caption"].split(": ")
    assert label == list(MOTIONS)[7].replace("_", " ") and digit in DIGITS
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    for split in ("train", "test"):
        known = {image.tobytes(): digit for image, digit in zip((images / 16).astype(np.float32), digits, strict=True)}
        found = [known[image.reshape(-1).tobytes()] for image in digit_images(split)]
        np.testing.assert_array_equal(found, digit_values(split))


def test_height_is_pitch(clips):
    for name, higher in (("move_up", True), ("move_down", False)):
        for clip in of_motion(clips, name):
            first, last = (pitch(part) for part in parts(clip))
            assert (last > 1.4 * first) if higher else (first > 1.4 * last)


def test_the_digit_is_pitch(clips):
    """With the height the same, digits are fifths of an octave apart."""
    heard = {}
    for name in ("move_right", "move_left"):
        for clip in of_motion(clips, name):
            rows = (clip["video"][0].sum(axis=(1, 2)) - clip["video"][0].sum(axis=(1, 2)).min()).astype(float)
            height = (rows * np.arange(32)).sum() / rows.sum() / 32
            digit = DIGITS.index(clip["caption"].split(":")[0])
            heard.setdefault(digit, []).append(np.log2(pitch(parts(clip, 0.3)[0]) / 220) - (1 - 2 * height))
    assert len(heard) > 5
    for digit, octaves in heard.items():
        np.testing.assert_allclose(np.median(octaves), digit / 5, atol=0.18)  # ink is not always in the middle


def test_size_is_loudness_and_place_the_second_partial(clips):
    for name, grows in (("grow", True), ("shrink", False)):
        for clip in of_motion(clips, name):
            first, last = (np.std(part) for part in parts(clip))
            assert (last > 1.8 * first) if grows else (first > 1.8 * last)

    def brightness(part):
        """Share of the power above 1.5 times the pitch."""
        power, hertz = np.abs(np.fft.rfft(part * np.hanning(part.size))) ** 2, np.fft.rfftfreq(part.size, 1 / 8000)
        return power[hertz > 1.5 * pitch(part)].sum() / power.sum()

    to_right = [[brightness(part) for part in parts(clip)] for clip in of_motion(clips, "move_right")]
    assert np.mean([last > first for first, last in to_right]) > 0.8


def velocity(clip):
    """Of the middle frame, in shorter sides a clip."""
    return (clip["flow"][4].astype(float) - 128) / 127 * 5


def middle_of(picture_HW):
    ys, xs = np.mgrid[:32, :32]
    return (picture_HW * ys).sum() / picture_HW.sum(), (picture_HW * xs).sum() / picture_HW.sum()


def test_flow_is_the_velocity_of_what_is_seen(clips):
    ways = {"move_right": (1, 0), "move_left": (-1, 0), "move_down": (0, 1), "move_up": (0, -1)}
    for name, (right, down) in ways.items():
        for clip in of_motion(clips, name):
            seen = clip["depth"][4, :, :, 0] > 0.5 * clip["depth"][4].max()
            flow = velocity(clip)[seen]
            assert not flow[:, 2].any()
            y0, x0 = middle_of(clip["depth"][0, :, :, 0].astype(float))
            y1, x1 = middle_of(clip["depth"][8, :, :, 0].astype(float))
            strong = np.median(flow[:, :2], axis=0)
            np.testing.assert_allclose(strong, [(x1 - x0) / 32, (y1 - y0) / 32], atol=0.06)
            assert np.sign(np.round(strong, 1)).tolist() == [right, down]


def test_flow_turns_and_grows_around_the_middle(clips):
    ys, xs = np.mgrid[:32, :32]
    for name, of in (("spin_clockwise", "turn"), ("spin_counterclockwise", "back"), ("grow", "out"), ("shrink", "in")):
        for clip in of_motion(clips, name):
            flow = velocity(clip)
            y, x = middle_of(clip["depth"][4, :, :, 0].astype(float))
            # Clockwise on the screen, with y downwards: right of the middle goes down, below it goes left.
            turning = np.sum((xs - x) * flow[..., 1] - (ys - y) * flow[..., 0])
            outward = np.sum((xs - x) * flow[..., 0] + (ys - y) * flow[..., 1])
            sign = {"turn": turning, "back": -turning, "out": outward, "in": -outward}[of]
            other = outward if of in ("turn", "back") else turning
            assert sign > 5 * abs(other)


def test_depth_is_nearness(clips):
    for clip in of_motion(clips, "grow"):
        assert clip["depth"][8].max() > 2 * clip["depth"][0].max()
    assert all(clip["depth"][:, 0, 0].max() < 60 for clip in of_motion(clips, "move_right"))


def test_a_clip_is_a_function_of_its_index():
    one, other = (SoundingDigits("train", **FIELDS | dict(cache_mb=mb)) for mb in (0, 64))
    for index in (5, 2, 5):
        a, b = (s.clip(index, np.random.default_rng(1), SPEC, True) for s in (one, other))
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize(
    "fields, expected",
    [
        (dict(size=0), "data.size is 0"),
        (dict(captions="file"), "data.captions is 'file': expected labels or none"),
        (dict(templates=("{name}",)), "no placeholder but {label}, {digit}"),
        (dict(companions={"flow": "somewhere"}), "data.flow is 'somewhere': the embedded data renders it"),
        (dict(sound="no"), "data.sound is 'no'"),
    ],
)
def test_bad_choices_are_named(fields, expected):
    with pytest.raises(UserError, match=expected):
        SoundingDigits("train", **FIELDS | fields)
