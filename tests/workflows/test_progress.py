"""The progress line: counts, speed and time left."""

import io

import pytest

from magvit_jax.workflows import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_elsewhere_than_on_a_terminal(clock):
    stream = io.StringIO()
    with progress.Progress(4, stream) as line:
        for _ in range(3):
            line.clip()
        clock[0] += 31
        line.recording()
        line.say("skipped: b.mp4")
        line.recording()
        clock[0] += 29
    assert stream.getvalue().splitlines() == [
        "input 1/4 (25%)  ETA 1m33s  3 clips  0.1 clips/s",
        "skipped: b.mp4",
        "input 2/4 (50%)  ETA 1m00s  3 clips  0.1 clips/s",
    ]


def test_on_a_terminal_the_line_is_rewritten(clock):
    stream = Terminal()
    with progress.Progress(2, stream) as line:
        clock[0] += 1
        line.recording()
        line.say("skipped: b.mp4")
        clock[0] += 1
        line.recording()
    shown = stream.getvalue()
    assert shown.count("\r\x1b[K") == 4 and shown.endswith("clips/s\n")
    assert "\r\x1b[Kskipped: b.mp4\n" in shown


def test_nothing_is_shown_of_nothing(clock):
    stream = io.StringIO()
    with progress.Progress(0, stream):
        pass
    assert stream.getvalue() == ""
