"""The JSONL file, the progress line, TensorBoard."""

import importlib.util
import io
import json
import sys
from types import ModuleType

import pytest

from magvit_jax.errors import UserError
from magvit_jax.training.writers import MetricWriter, duration


class Terminal(io.StringIO):
    def isatty(self):
        return True


def writer(folder, start=0, stream=None, tensorboard=False):
    return MetricWriter(folder, 10, start, tensorboard, stream or io.StringIO())


def records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_records(tmp_path):
    log = writer(tmp_path)
    log.train(2, {"loss": 0.5, "psnr": float("inf"), "skipped": 0}, eta=None)
    log.evaluation(2, {"held_out/psnr": 20.0})
    log.event(3, "skipped")
    log.close()
    assert records(tmp_path) == [
        {"step": 2, "kind": "train", "loss": 0.5, "psnr": None, "skipped": 0},
        {"step": 2, "kind": "eval", "held_out/psnr": 20.0},
        {"step": 3, "kind": "event", "message": "skipped"},
    ]


def test_a_record_is_on_disk_before_the_next(tmp_path):
    log = writer(tmp_path)
    log.train(1, {"loss": 1.0}, eta=None)
    assert len(records(tmp_path)) == 1
    log.close()


def test_resuming_drops_what_the_lost_steps_wrote(tmp_path):
    lines = ['{"step": 1}', '{"step": 2}', "damaged", '{"step": 3}', '{"step": 4, "lo']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    log = writer(tmp_path, start=2)
    log.train(3, {"loss": 1.0}, eta=None)
    log.close()
    assert [record["step"] for record in records(tmp_path)] == [1, 2, 3]


def test_plain_lines_where_there_is_no_terminal(tmp_path):
    stream = io.StringIO()
    log = writer(tmp_path, stream=stream)
    log.train(5, {"accuracy": 0.25, "a_loss": 2.0, "loss": 1.23456}, eta=65)
    log.close()
    assert stream.getvalue() == "step 5/10 (50%)  ETA 1m05s  loss 1.235  a_loss 2  accuracy 0.25\n"


def test_one_line_in_place_on_a_terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    stream = Terminal()
    log = writer(tmp_path, stream=stream)
    log.train(5, {"loss": 1.0, "much_more_that_does_not_fit": 2.0}, eta=5)
    log.train(6, {"loss": 1.0}, eta=4)
    assert "\n" not in stream.getvalue()
    assert all(len(line) < 30 for line in stream.getvalue().replace("\x1b[K", "").split("\r"))
    log.event(6, "something")
    log.train(7, {"loss": 1.0}, eta=4)
    log.close()
    assert stream.getvalue().count("\n") == 2
    assert "\r\x1b[Kstep 6: something\n" in stream.getvalue() and stream.getvalue().endswith("\n")


def test_durations():
    assert [duration(s) for s in (0.2, 59, 65, 3600 + 7 * 60)] == ["0s", "59s", "1m05s", "1h07m"]


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed")
def test_tensorboard_without_tensorflow(tmp_path):
    with pytest.raises(UserError, match="training.tensorboard.*tensorflow is not installed"):
        writer(tmp_path, tensorboard=True)


def test_tensorboard_gets_every_record(tmp_path, monkeypatch):
    written = []

    class SummaryWriter:
        def __init__(self, folder):
            written.append(folder)

        def write_scalars(self, step, values):
            written.append((step, values))

        def flush(self):
            pass

        def close(self):
            written.append("closed")

    module = ModuleType("summary_writer")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "clu.metric_writers", ModuleType("clu.metric_writers"))
    monkeypatch.setitem(sys.modules, "clu.metric_writers.summary_writer", module)
    log = writer(tmp_path, tensorboard=True)
    log.train(1, {"loss": 1.0}, eta=None)
    log.evaluation(1, {"held_out/psnr": 20.0})
    log.close()
    assert written == [
        str(tmp_path / "tensorboard"),
        (1, {"train/loss": 1.0}),
        (1, {"eval/held_out/psnr": 20.0}),
        "closed",
    ]
