"""Writes a folder of shards in a process of its own that may be killed at any step. Not a test module.

    python shard_toy.py FOLDER [--full-disk]

Makes FOLDER/whole without being killed. Then, for every step k at which a process can die, a process writes
FOLDER/killed-k, is killed there, and another one goes on with it.
"""

import os
import resource
import shutil
import signal
import sys
from pathlib import Path

import numpy as np

from magvit_jax.data import records, shard_writer
from magvit_jax.data.shard_writer import ShardFolder
from magvit_jax.data.shards import Skipped
from magvit_jax.errors import UserError

SHARDS = 3
IDENTITY = {"kind": "tokens", "shard_count": SHARDS, "class_names": ["a"], "input": {"source": "toy"}}


def shard_records(number, count=3, size=40):
    rng = np.random.default_rng(number)
    for start in range(count):
        ids = rng.integers(0, 2**18, size, dtype=np.int32)
        yield records.encode_ids(ids, 18, {"name": str(number), "start": start, "label": 0})


def write(folder, todo=range(SHARDS), **settings):
    """What a command does; shard 1 has left out an input."""
    target = ShardFolder(folder, IDENTITY)
    for number in todo:
        if not target.is_done(number):
            skipped = [Skipped("b.mp4", "empty")] * (number == 1)
            target.write(number, shard_records(number, **settings), lambda skipped=skipped: skipped)
    return target.finish()


class Steps:
    """Counts everything that changes the disk, and dies before step number `fatal`."""

    def __init__(self, fatal):
        self.left = fatal

    def before(self, function):
        def step(*arguments, **keywords):
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self.left -= 1
            return function(*arguments, **keywords)

        return step

    def watch(self):
        os.fsync, shutil.rmtree = self.before(os.fsync), self.before(shutil.rmtree)
        for name in ("replace", "unlink", "write_text", "mkdir"):
            setattr(Path, name, self.before(getattr(Path, name)))
        shard_writer._disk = self.before(shard_writer._disk)


def in_a_process(run):
    """Exit status, or minus the signal that killed it."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = run() or 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def dying(folder, fatal):
    Steps(fatal).watch()
    write(folder)


def full_disk(folder):
    """Shard 0 fits, shard 1 does not."""
    write(folder, todo=[0])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        write(folder, count=100, size=40_000)
    except UserError as error:
        print(error)
        return 3
    return 0


def main(root):
    assert in_a_process(lambda: write(root / "whole") and 0) == 0
    for fatal in range(1000):
        folder = root / f"killed-{fatal}"
        status = in_a_process(lambda folder=folder, fatal=fatal: dying(folder, fatal))
        assert status in (0, -signal.SIGKILL), status
        assert in_a_process(lambda folder=folder: write(folder) and 0) == 0
        if status == 0:
            return 0
    return 1


if __name__ == "__main__":
    target = Path(sys.argv[1])
    sys.exit(full_disk(target) if "--full-disk" in sys.argv else main(target))
