"""Folders of shards: killed anywhere, shared by processes, on a full disk, and those of others."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shard_toy

from magvit_jax.data import shard_writer
from magvit_jax.data.shard_writer import ShardFolder
from magvit_jax.data.shards import ShardReader, Skipped, parse_index, read_index
from magvit_jax.errors import UserError


def run_toy(*arguments):
    command = [sys.executable, shard_toy.__file__, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def tree(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_killed_at_any_step_it_goes_on_to_the_same_bytes(tmp_path):
    done = run_toy(tmp_path)
    assert done.returncode == 0, done.stderr
    whole = tree(tmp_path / "whole")
    names = [f"tokens-{number:05d}-of-00003.array_record" for number in range(3)]
    assert sorted(map(str, whole)) == ["index.json", *names]
    killed = sorted(tmp_path.glob("killed-*"))
    assert len(killed) > 40
    for folder in killed:
        assert tree(folder) == whole, folder


def test_what_is_there_is_not_written_again_and_what_is_damaged_is(tmp_path):
    shard_toy.write(tmp_path)
    whole = tree(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    shard_toy.write(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times
    cut, gone, kept = sorted(tmp_path.glob("*.array_record"))
    cut.write_bytes(cut.read_bytes()[:-1])
    gone.unlink()
    with pytest.raises(UserError, match="has 131071 bytes; expected 131072"):
        read_index(tmp_path, "tokens")
    cut.unlink()
    with pytest.raises(UserError, match="00000-of-00003.array_record is missing"):
        read_index(tmp_path, "tokens")
    shard_toy.write(tmp_path)
    assert tree(tmp_path) == whole and kept.stat().st_mtime_ns == times[kept]


def test_processes_share_the_shards(tmp_path):
    assert not shard_toy.write(tmp_path, todo=[0, 2]).finished
    with pytest.raises(UserError, match="not finished; run the command that writes it again"):
        read_index(tmp_path, "tokens")
    assert parse_index(tmp_path).shards == {}
    assert shard_toy.write(tmp_path, todo=[1]).finished
    index = read_index(tmp_path, "tokens")
    assert (index.records, index.skipped) == (9, (Skipped("b.mp4", "empty"),))
    assert json.loads((tmp_path / "index.json").read_text())["skipped"] == 1
    assert not (tmp_path / ".progress").exists()


def test_two_writers_of_one_shard_do_not_mix(tmp_path):
    def also_written_by_another():
        first, *others = shard_toy.shard_records(0)
        yield first
        ShardFolder(tmp_path, shard_toy.IDENTITY).write(0, shard_toy.shard_records(0), list)
        yield from others

    folder = ShardFolder(tmp_path, shard_toy.IDENTITY)
    with pytest.raises(UserError, match="00000-of-00003.array_record: cannot be written: No such file"):
        folder.write(0, also_written_by_another(), list)
    assert folder.is_done(0) and not list(tmp_path.glob(".*.partial"))
    shard_toy.write(tmp_path)
    assert len(ShardReader(tmp_path, read_index(tmp_path, "tokens").shards.values())) == 9


def test_processes_may_start_and_finish_together(tmp_path):
    """Both find no index and write it; both find all shards and write it again."""
    index = tmp_path / "index.json"

    def other(*_):
        monkey.undo()
        shard_toy.write(tmp_path)
        return False

    with pytest.MonkeyPatch.context() as monkey:
        monkey.setattr(shard_writer, "is_shards", other)
        folder = ShardFolder(tmp_path, shard_toy.IDENTITY)
    assert folder.finish().finished
    before = tree(tmp_path)

    def put_away(path):
        """What a process does that finishes while this one writes the index."""
        for partial in tmp_path.glob(".index.json.*"):
            partial.unlink()

    with pytest.MonkeyPatch.context() as monkey:
        monkey.setattr(shard_writer, "_sync", put_away)
        shard_writer._write_text(index, index.read_text().removesuffix("\n"))
    assert tree(tmp_path) == before


def test_an_error_among_the_records_leaves_no_file(tmp_path):
    def broken():
        yield from shard_toy.shard_records(0)
        raise KeyboardInterrupt

    folder = ShardFolder(tmp_path, shard_toy.IDENTITY)
    with pytest.raises(KeyboardInterrupt):
        folder.write(0, broken(), list)
    assert [path.name for path in tmp_path.iterdir()] == ["index.json"]


def test_a_full_disk_is_one_line_and_harms_no_finished_shard(tmp_path):
    done = run_toy(tmp_path, "--full-disk")
    assert done.returncode == 3, done.stderr
    [line] = done.stdout.splitlines()
    assert (
        "tokens-00001-of-00003.array_record: cannot be written: " in line
        and "write() failed: File too large; finished" in line
    )
    assert "finished shards are unharmed" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".progress",
        "index.json",
        "tokens-00000-of-00003.array_record",
    ]
    reader = ShardReader(tmp_path, ShardFolder(tmp_path, shard_toy.IDENTITY).finish().shards.values())
    for number, record in enumerate(shard_toy.shard_records(0)):
        expected, _ = shard_toy.records.decode(record)
        np.testing.assert_array_equal(reader.read(number)[0], expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"input": {"source": "films"}},
            'another input: input.source was "toy", is "films"; expected the same',
        ),
        ({"class_names": ["a", "b"]}, 'another class_names: class_names.1 was absent, is "b"'),
        ({"shard_count": 4}, "another shard_count: shard_count was 3, is 4"),
        ({"kind": "clips", "input": {}}, 'another kind: kind was "tokens", is "clips"'),
    ],
)
def test_a_folder_of_another_identity_is_refused(tmp_path, change, message):
    shard_toy.write(tmp_path, todo=[0])
    before = tree(tmp_path)
    with pytest.raises(UserError, match=message) as raised:
        ShardFolder(tmp_path, shard_toy.IDENTITY | change)
    assert str(raised.value).startswith(f"{tmp_path}: was written with another")
    assert tree(tmp_path) == before


def test_folders_of_others_are_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="holds thesis.txt and no index.json; expected a new or empty folder"):
        ShardFolder(tmp_path, shard_toy.IDENTITY)
    with pytest.raises(UserError, match="Not a directory; expected a new or empty folder"):
        ShardFolder(tmp_path / "thesis.txt", shard_toy.IDENTITY)
    with pytest.raises(UserError, match="no index.json; expected a folder of shards"):
        read_index(tmp_path, "tokens")
    for text, message in {
        "{": "not readable as JSON",
        "[]": "format version None",
        '{"format_version": 2}': "format version 2; this version",
        '{"format_version": 1}': "changed since it was written",
    }.items():
        (tmp_path / "index.json").write_text(text)
        with pytest.raises(UserError, match=message):
            read_index(tmp_path, "tokens")


def test_damage_inside_a_shard_is_found(tmp_path):
    shard_toy.write(tmp_path)
    index = read_index(tmp_path, "tokens")
    with pytest.raises(UserError, match="holds shards of tokens; expected shards of clips"):
        read_index(tmp_path, "clips")
    path = Path(tmp_path, index.shards[1].name)
    content = bytearray(path.read_bytes())
    content[content.index(b'"codec"')] ^= 1
    path.write_bytes(content)
    reader = ShardReader(tmp_path, index.shards.values())
    assert len(reader) == 9 and reader.read(8)[1]["name"] == "2"
    with pytest.raises(UserError, match="record 3 is damaged"):
        reader.read(3)
