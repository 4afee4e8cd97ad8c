"""Which frames of a file make a clip at another rate, against examples written out."""

import numpy as np

from magvit_jax.data.timeline import Timeline


def at(rate, frames, first=0.0):
    return Timeline(first + np.arange(frames) / rate, rate)


def test_nearest_frames_at_another_rate():
    assert at(24, 48).numbers(0, 5, 8).tolist() == [0, 3, 6, 9, 12]
    assert at(24, 48, first=1.5).numbers(2, 5, 8).tolist() == [2, 5, 8, 11, 14]
    # 25 frames a second: 0, 3.125, 6.25, 9.375, 12.5 frames; of two as near, the later.
    assert at(25, 50).numbers(0, 5, 8).tolist() == [0, 3, 6, 9, 13]
    assert at(4, 8).numbers(0, 6, 8).tolist() == [0, 1, 1, 2, 2, 3]
    assert at(10, 1).numbers(0, 1, 8).tolist() == [0]


def test_frames_at_their_own_rate_are_all_taken_though_times_are_rounded():
    rounded = Timeline(np.round(np.arange(60) / 30, 3), 30.0)
    for start in range(40):
        assert rounded.numbers(start, 17, 30.0).tolist() == list(range(start, start + 17))


def test_frames_that_last_unequally_long():
    slow_then_fast = Timeline(np.asarray([0.0, 1.0, 2.0, 2.1, 2.2, 2.3]), 10.0)
    assert slow_then_fast.numbers(0, 6, 2.0).tolist() == [0, 1, 1, 2, 2, 5]
    assert slow_then_fast.end == 2.4 and slow_then_fast.starts(1.4) == 2


def test_how_many_clips_and_starts_there_are():
    # 20 frames at 8 a second last 2.5 s: clips of 9 frames begin with frames 0 to 11, and two lie side by side.
    timeline = at(8, 20, first=3.0)
    assert (timeline.starts(9 / 8), timeline.clips(9 / 8)) == (12, 2)
    assert timeline.numbers(11, 9, 8)[-1] == 19
    assert at(8, 9).starts(9 / 8) == 1 and at(8, 8).starts(9 / 8) == 0
    assert Timeline(np.round(np.arange(17) / 30, 3), 30.0).starts(17 / 30) == 1
