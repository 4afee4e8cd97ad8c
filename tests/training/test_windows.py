"""Metrics on their way from the devices to a record."""

import json
import time

import jax.numpy as jnp
import pytest

from magvit_jax.training.windows import Clock, LateMetrics, Window


def test_metrics_come_late_and_in_order():
    late, seen = LateMetrics(lag=2), []
    for step in range(1, 6):
        late.push(step, {"loss": jnp.float32(step)})
        seen.append([(done, values["loss"]) for done, values in late.ready()])
    assert seen == [[], [], [(1, 1.0)], [(2, 2.0)], [(3, 3.0)]]
    assert [done for done, _ in late.drain()] == [4, 5] and not list(late.drain())


def test_dropped_updates_are_counted_and_not_averaged():
    window = Window()
    for loss, skipped in ((1.0, 0), (float("nan"), 1), (3.0, 0)):
        window.add({"loss": loss, "skipped": skipped, "skipped_in_row": skipped})
    assert window.flush() == {"loss": 2.0, "skipped": 1}
    assert window.flush() == {"skipped": 0}


def test_a_mean_over_things_is_averaged_over_the_things():
    """A step without any does not count, whatever it says; a window without any says nothing."""
    window = Window({"audio_loss": "audio_targets"})
    steps = [(2.0, 30), (8.0, 10), (float("nan"), 0), (0.0, 0)]
    for loss, count in steps[:2]:
        window.add({"audio_loss": loss, "audio_targets": count, "loss": loss, "skipped": 0, "skipped_in_row": 0})
    window = Window({"audio_loss": "audio_targets"}, **json.loads(json.dumps(window.to_json())))
    for loss, count in steps[2:]:
        window.add({"audio_loss": loss, "audio_targets": count, "loss": 1.0, "skipped": 0, "skipped_in_row": 0})
    assert window.flush() == {"audio_loss": 3.5, "audio_targets": 10.0, "loss": 3.0, "skipped": 0}
    window.add({"audio_loss": 0.0, "audio_targets": 0, "loss": 1.0, "skipped": 0, "skipped_in_row": 0})
    assert window.flush() == {"audio_targets": 0.0, "loss": 1.0, "skipped": 0}


def test_a_window_of_an_older_checkpoint_is_read():
    window = Window({"audio_loss": "audio_targets"}, **{"sums": {"loss": 3.0}, "count": 2, "skipped": 1})
    assert window.flush() == {"loss": 1.5, "skipped": 1}


def test_a_window_goes_on_after_a_resume():
    window = Window()
    window.add({"loss": 1.0, "skipped": 0, "skipped_in_row": 0})
    again = Window(**window.to_json())
    again.add({"loss": 2.0, "skipped": 0, "skipped_in_row": 0})
    assert again.flush() == {"loss": 1.5, "skipped": 0}


def test_clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = Clock(total_steps=11)
    clock.tick(1)
    assert clock.eta() is None and clock.speed() == {}
    now[0] += 10
    clock.tick(6)
    with clock.paused():
        now[0] += 10
    assert clock.speed() == {"steps_per_second": pytest.approx(0.5)}  # 5 steps in 10 busy seconds
    assert clock.eta() == pytest.approx(20)  # 5 steps took 20 seconds, pauses included
