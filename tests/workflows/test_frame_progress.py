"""The progress line of a video: rewritten in place on a terminal, now and then a line elsewhere."""

import io

import pytest

from magvit_jax.workflows import frame_progress
from magvit_jax.workflows.frame_progress import FrameProgress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds since the start; a test moves them on."""
    now = [100.0]
    monkeypatch.setattr(frame_progress.time, "monotonic", lambda: now[0])
    return now


def run(stream, clock, seconds):
    with FrameProgress("a.mp4", 400, stream) as line:
        for done in range(100, 401, 100):
            clock[0] += seconds
            line.update(done)
    return stream.getvalue()


def test_a_terminal_has_one_line_and_none_in_the_end(clock):
    text = run(Terminal(), clock, 2.0)
    assert text.count("\r\x1b[K") == 5 and text.endswith("\r\x1b[K") and "\n" not in text
    assert "a.mp4: 100 of 400 frames (25%)  50.0 a second  ETA 6s" in text


def test_a_file_has_a_line_every_ten_seconds(clock):
    lines = run(io.StringIO(), clock, 6.0).splitlines()
    assert [line.split()[1] for line in lines] == ["200", "400"]
    assert run(io.StringIO(), clock, 1.0) == ""


def test_more_frames_than_promised_are_no_error(clock):
    stream = Terminal()
    with FrameProgress("a.mp4", 0, stream) as line:
        line.update(3)
    assert "3 of 0 frames (100%)" in stream.getvalue()
