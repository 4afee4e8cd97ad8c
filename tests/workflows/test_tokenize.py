"""`tokenize` and `shards`: every clip of every input, by any number of processes, killed or not."""

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tiny_models
from tiny_models import moving_square, random_params, tiny_config

from magvit_jax import systems, workflows
from magvit_jax.cli.main import main
from magvit_jax.data import ClipSpec, load_clip
from magvit_jax.data.shards import ShardReader, Skipped, read_index
from magvit_jax.errors import UserError
from magvit_jax.media.video_io import write_gif, write_mp4
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer
from magvit_jax.workflows import Share, progress
from magvit_jax.workflows.tokenize import side_by_side

SIZE = ClipFormat(5, 8, 8)
SPEC = ClipSpec(5, 8, 8)


@pytest.fixture(scope="module")
def tokenizer():
    with tiny_models.quick_compilation():
        model = systems.build(tiny_config("tokenizer")).model
        return Tokenizer(model, random_params(model, SIZE.shape), SIZE, fingerprint="abc")


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Five films of 6 to 18 frames in two classes; one is cut off, one too short. Read only."""
    folder = tmp_path_factory.mktemp("films")
    for number, frames in enumerate((11, 6, 18, 5, 10)):
        name = f"{'ab'[number % 2]}/{number}.mp4"
        write_mp4(folder / name, moving_square(frames, 16, 16, seed=number))
    whole = (folder / "a" / "2.mp4").read_bytes()
    (folder / "a" / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    write_gif(folder / "b" / "short.gif", moving_square(4, 16, 16))
    return folder


CLIPS = {"a/0.mp4": [0, 5], "a/2.mp4": [0, 5, 10], "a/4.mp4": [0, 5], "b/1.mp4": [0], "b/3.mp4": [0]}


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(tokenizer, source, output, cutting=None, process=0, processes=1, shards=3, **keywords):
    recordings = workflows.open_recordings(source, SPEC, **keywords.pop("opening", {}))
    share = Share(shards, process, processes, threads=2)
    return workflows.tokenize(
        tokenizer, recordings, output, cutting, batch=3, share=share, stream=io.StringIO(), **keywords
    )


@pytest.fixture(scope="module")
def whole(tokenizer, films, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "tokens"
    with tiny_models.quick_compilation():
        run(tokenizer, films, folder)
    return folder


def read(folder, kind="tokens"):
    index = read_index(folder, kind)
    reader = ShardReader(folder, index.shards.values())
    return index, [reader.read(number) for number in range(len(reader))]


def test_the_tokens_of_every_clip(tokenizer, films, whole):
    index, found = read(whole)
    assert index.identity["class_names"] == ["a", "b"] and index.identity["shape"] == [2, 2, 2]
    assert index.identity["tokenizer"]["fingerprint"] == "abc"
    starts = {}
    for ids_thw, header in found:
        starts.setdefault(header["name"], []).append(header["start"])
        assert header["label"] == "ab".index(header["name"][0])
        clip = load_clip(films / header["name"], ClipSpec(1, 8, 8), whole=True)[header["start"] :][:5]
        np.testing.assert_array_equal(ids_thw, tokenizer.encode(clip[None])[0])
        # What another program reads decodes to what the tokenizer makes of the clip.
        np.testing.assert_array_equal(tokenizer.decode(ids_thw[None]), tokenizer.reconstruct(clip[None]))
    assert starts == CLIPS


def test_bad_files_are_counted_and_named(whole):
    index, _ = read(whole)
    cut, short = index.skipped
    assert (cut.name, cut.clips) == ("a/cut.mp4", 0) and cut.reason
    assert short == Skipped("b/short.gif", "4 frames, a clip needs 5 (5 at stride 1)")
    assert json.loads((whole / "index.json").read_text())["skipped"] == 2
    text = workflows.describe_shards(index, "OUT")
    assert text == (
        "OUT: 9 clips as tokens of 2x2x2 in 3 shards, from 7 inputs; skipped or cut short: 2, "
        "named in index.json"
    )


def interrupted(tokenizer, fatal):
    """The tokenizer, but that its call number `fatal` is interrupted."""
    calls = itertools.count()

    class Interrupted(Tokenizer):
        def encode(self, video):
            if next(calls) == fatal:
                raise KeyboardInterrupt
            return super().encode(video)

    dying = object.__new__(Interrupted)
    dying.__dict__ |= tokenizer.__dict__
    return dying


@pytest.mark.parametrize("fatal", range(4))
def test_an_interrupted_run_goes_on_to_the_same_bytes(tokenizer, films, whole, tmp_path, fatal):
    with pytest.raises(KeyboardInterrupt):
        run(interrupted(tokenizer, fatal), films, tmp_path)
    assert not list(tmp_path.glob(".*.partial"))
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.array_record")}
    assert len(finished) < 3
    run(tokenizer, films, tmp_path)
    assert tree(tmp_path) == tree(whole)
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in finished.items())


def test_processes_share_the_work(tokenizer, films, whole, tmp_path):
    said = [
        workflows.describe_shards(run(tokenizer, films, tmp_path, process=i, processes=2), "OUT")
        for i in (1, 0)
    ]
    assert said[0] == "OUT: 1 of 3 shards are there; the last process writes the index"
    assert tree(tmp_path) == tree(whole)


def test_threads_and_batches_change_nothing(tokenizer, films, whole, tmp_path):
    recordings = workflows.open_recordings(films, SPEC)
    share = Share(3, threads=1)
    workflows.tokenize(tokenizer, recordings, tmp_path, batch=7, share=share, stream=io.StringIO())
    assert tree(tmp_path) == tree(whole)


def test_an_output_of_another_model_input_or_cut_is_refused(tokenizer, films, whole, tmp_path):
    other = Tokenizer(tokenizer.model, tokenizer.params, SIZE, fingerprint="xyz")
    before = tree(whole)
    with pytest.raises(UserError, match='another tokenizer: tokenizer.fingerprint was "abc", is "xyz"'):
        run(other, films, whole)
    with pytest.raises(UserError, match="another input: input.fingerprint was"):
        run(tokenizer, films / "a", whole)
    with pytest.raises(UserError, match="another clip: clip.every was 5, is 2"):
        run(tokenizer, films, whole, side_by_side(SPEC, every=2))
    with pytest.raises(UserError, match="another shard_count: shard_count was 3, is 4"):
        run(tokenizer, films, whole, shards=4)
    assert tree(whole) == before


def test_clips_as_asked(tokenizer, films, tmp_path):
    _, found = read(
        run(tokenizer, films, tmp_path / "a", side_by_side(SPEC, every=3, most=2)) and tmp_path / "a"
    )
    starts = {name: [h["start"] for _, h in found if h["name"] == name] for name in CLIPS}
    assert starts == {"a/0.mp4": [0, 3], "a/2.mp4": [0, 3], "a/4.mp4": [0, 3], "b/1.mp4": [0], "b/3.mp4": [0]}
    stride = ClipSpec(5, 8, 8, stride=2)
    index, found = read(run(tokenizer, films, tmp_path / "b", side_by_side(stride)) and tmp_path / "b")
    assert [(h["name"], h["start"]) for _, h in found] == [("a/0.mp4", 0), ("a/2.mp4", 0), ("a/4.mp4", 0)]
    assert index.identity["clip"]["every"] == 10
    with pytest.raises(UserError, match="frames must be 1 . a multiple of 4"):
        run(tokenizer, films, tmp_path / "c", side_by_side(ClipSpec(4, 8, 8)))
    assert not (tmp_path / "c").exists()


def test_clip_shards_and_their_tokens(tokenizer, films, whole, tmp_path):
    recordings = workflows.open_recordings(films, SPEC)
    index = workflows.write_clips(
        recordings, tmp_path / "clips", side_by_side(SPEC), share=Share(3), stream=io.StringIO()
    )
    assert index.records == 9 and len(index.skipped) == 2
    _, found = read(tmp_path / "clips", "clips")
    for video_THWC, header in found:
        clip = load_clip(films / header["name"], ClipSpec(1, 8, 8), whole=True)[header["start"] :][:5]
        np.testing.assert_array_equal(video_THWC, clip)
    run(tokenizer, tmp_path / "clips", tmp_path / "tokens")
    tokens = {
        folder: {(h["name"], h["start"], h["label"]): ids.tobytes() for ids, h in read(folder)[1]}
        for folder in (whole, tmp_path / "tokens")
    }
    assert tokens[whole] == tokens[tmp_path / "tokens"]


def test_embedded_clips(tokenizer, tmp_path):
    index = run(tokenizer, None, tmp_path, num=5, opening={"split": "test"})
    _, found = read(tmp_path)
    assert index.records == 5 and sorted(header["name"] for _, header in found) == list("01234")
    assert index.identity["input"] == {"recordings": 5, "seed": 0, "source": "embedded", "split": "test"}


def test_inputs_that_are_none(tokenizer, films, tmp_path):
    with pytest.raises(UserError, match="source 'films' is unknown"):
        workflows.open_recordings(films, SPEC, source="films")
    with pytest.raises(UserError, match="expected no input, and train or test"):
        workflows.open_recordings(None, SPEC, split="all")
    with pytest.raises(UserError, match="source tfds needs an input"):
        workflows.open_recordings(None, SPEC, source="tfds")
    with pytest.raises(UserError, match="process 2 of 2: expected 0 to 1"):
        Share(process=2, processes=2)
    with pytest.raises(UserError, match="shards: 0; expected 1 or more"):
        Share(shards=0)
    with pytest.raises(UserError, match="0 inputs: expected at least 1"):
        run(tokenizer, films, tmp_path / "none", num=0)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.mp4").write_bytes(b"")
    with pytest.raises(
        UserError, match="no clip could be cut from any of 1 inputs, such as a.mp4: empty file"
    ):
        run(tokenizer, tmp_path / "bad", tmp_path / "out")


def test_the_command_killed_and_started_again(tiny, tmp_path, capsys):
    command = ["tokenize", f"--model={tiny.tokenizer.bundle}", "--frames=5", "--height=8", "--width=8"]
    command += ["--num=160", "--shards=40", "--batch=8", "--threads=2"]
    for process in (0, 1):
        share = ["--processes=2", f"--process={process}"]
        assert main([*command, f"--output={tmp_path / 'whole'}", *share]) == 0
    killed = tmp_path / "killed"
    environment = dict(os.environ, JAX_DISABLE_MOST_OPTIMIZATIONS="1")  # as in this process
    process = subprocess.Popen(
        [sys.executable, "-m", "magvit_jax", *command, f"--output={killed}"],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while len(list(killed.glob("*.array_record"))) < 3 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 3 <= len(list(killed.glob("*.array_record"))) < 40
    assert main([*command, f"--output={killed}"]) == 0
    assert tree(killed) == tree(tmp_path / "whole")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{tmp_path / 'whole'}: 20 of 40 shards are there; the last process writes the index"
    assert said[-1] == f"{killed}: 160 clips as tokens of 2x2x2 in 40 shards, from 160 inputs"


def test_the_command_for_clips(tiny, films, tmp_path, capsys):
    size = ["--frames=5", "--height=8", "--width=8"]
    shards = ["shards", f"--input={films / 'a'}", *size, "--clips=1", f"--output={tmp_path}"]
    assert main(shards) == 0
    assert "3 clips of 5x8x8x3 in 4 shards, from 4 inputs; skipped or cut short: 1" in capsys.readouterr().out
    tokenize = ["tokenize", f"--model={tiny.tokenizer.bundle}", f"--input={films}", *size]
    assert main([*tokenize, f"--output={tmp_path}"]) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("magvit: error")]
    assert line.startswith(f'magvit: error: {tmp_path}: was written with another kind: kind was "clips"')


def test_progress(films, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "ELSEWHERE", 0.0)
    stream = io.StringIO()
    recordings = workflows.open_recordings(films, SPEC)
    workflows.write_clips(recordings, tmp_path, side_by_side(SPEC), share=Share(2), stream=stream)
    *said, last = stream.getvalue().splitlines()
    assert sorted(line.split(": ")[:2] for line in said if line.startswith("skipped")) == [
        ["skipped", "a/cut.mp4"],
        ["skipped", "b/short.gif"],
    ]
    assert last.startswith("7 of 7 inputs (100%)  9 clips  ")
