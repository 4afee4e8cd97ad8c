"""The progress line: rewritten in place on a terminal, now and then a line elsewhere."""

import io

import pytest

from magvit_jax.workflows import progress
from magvit_jax.workflows.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds since the start; a test moves them on."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def frames(stream, clock, seconds):
    with Progress(400, "frames", name="a.mp4", stream=stream) as line:
        for _ in range(4):
            clock[0] += seconds
            line.advance(100)
    return stream.getvalue()


def test_a_terminal_has_one_line_and_none_in_the_end(clock):
    text = frames(Terminal(), clock, 2.0)
    assert text.count("\r\x1b[K") == 5 and text.endswith("\r\x1b[K") and "\n" not in text
    assert "a.mp4: 100 of 400 frames (25%)  50.0 a second  ETA 6s\r" in text


def test_a_terminal_is_not_written_to_all_the_time(clock):
    assert frames(Terminal(), clock, 0.25).count("frames") == 2


def test_a_file_has_a_line_every_ten_seconds_and_none_of_quick_work(clock):
    lines = frames(io.StringIO(), clock, 6.0).splitlines()
    assert [line.split()[1] for line in lines] == ["200", "400"]
    assert lines[-1] == "a.mp4: 400 of 400 frames (100%)  16.7 a second"
    assert frames(io.StringIO(), clock, 1.0) == ""


def test_inputs_and_their_clips(clock):
    stream = io.StringIO()
    with Progress(4, "inputs", parts="clips", stream=stream) as line:
        for _ in range(3):
            line.part()
        clock[0] += 31
        line.advance()
        line.say("skipped: b.mp4")
        line.advance()
        clock[0] += 29
        line.advance()
    assert stream.getvalue().splitlines() == [
        "1 of 4 inputs (25%)  3 clips  0.1 a second  ETA 1m33s",
        "skipped: b.mp4",
        "3 of 4 inputs (75%)  3 clips  0.1 a second  ETA 20s",
    ]


def test_what_is_said_on_a_terminal_stays(clock):
    stream = Terminal()
    with Progress(2, "inputs", stream=stream) as line:
        clock[0] += 1
        line.advance()
        line.say("skipped: b.mp4")
    assert "\r\x1b[Kskipped: b.mp4\n" in stream.getvalue()
    assert stream.getvalue().count("b.mp4") == 1


def test_more_than_promised_is_no_error(clock):
    stream = Terminal()
    with Progress(0, "frames", stream=stream) as line:
        clock[0] += 1
        line.advance(3)
    assert "3 of 0 frames (100%)" in stream.getvalue()
