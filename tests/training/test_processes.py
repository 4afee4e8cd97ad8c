"""Runs in processes of their own: kill -9, a full disk, and two processes that share a run."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import training_toys
from training_toys import Regression, leaves, toy_config, toy_train

from magvit_jax.training.checkpoints import checkpoint_steps, latest_step
from magvit_jax.training.loading import load_state

SEED = 20  # of the step at which a run is killed


def environment(devices, **more):
    root = Path(training_toys.__file__).parents[2]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    flags = f"--xla_force_host_platform_device_count={devices}"
    return dict(os.environ, XLA_FLAGS=flags, PYTHONPATH=path, JAX_DISABLE_MOST_OPTIMIZATIONS="1", **more)


def start(workdir, devices=8, more=(), **flags):
    arguments = [f"--{name}={value}" for name, value in {"workdir": workdir, **flags}.items()]
    command = [sys.executable, "-W", "error", training_toys.__file__, *arguments]
    return subprocess.Popen(command, env=environment(devices, **dict(more)), stderr=subprocess.PIPE, text=True)


def finish(*processes):
    """[(exit status, standard error)]"""
    found = []
    try:
        for process in processes:
            _, error = process.communicate(timeout=240)
            found.append((process.returncode, error))
    finally:
        for process in processes:
            process.kill()
    return found


def test_kill_9_changes_nothing(tmp_path, uninterrupted, records):
    [(status, error)] = finish(start(tmp_path, kill_while_saving=3))
    assert status == -signal.SIGKILL, error
    assert checkpoint_steps(tmp_path) == [] and any((tmp_path / "checkpoints").iterdir())
    step = random.Random(SEED).randint(4, 8)
    [(status, error)] = finish(start(tmp_path, kill_at_step=step))
    assert status == -signal.SIGKILL and "removed the half-written checkpoint 3" in error, error

    state = leaves(toy_train(tmp_path))
    assert state.keys() == uninterrupted.state.keys()
    for key, value in state.items():
        np.testing.assert_array_equal(value, uninterrupted.state[key], err_msg=key)
    assert records(tmp_path) == uninterrupted.records


def test_a_full_disk_ends_the_run_and_harms_nothing(tmp_path):
    [(status, error)] = finish(start(tmp_path, full_disk_at_step=4))
    [line] = [line for line in error.splitlines() if line.startswith("magvit_jax.errors.UserError")]
    assert status == 1 and "checkpoint of step 6 could not be written" in line, error
    assert "File too large" in line and "earlier checkpoints are unharmed" in line
    assert checkpoint_steps(tmp_path) == [3]
    assert load_state(tmp_path, Regression(toy_config())).step == 3


ON_A_SMALL_DISK = """
set -e
mount -t tmpfs -o size=2m tmpfs "$1"
status=0
"${@:3}" || status=$?
rm -f "$1/filler"
cp -r "$1/run" "$2"
exit $status
"""


@pytest.mark.parametrize(("leave", "what"), [(12288, "the checkpoint of step 40 could not be written"), (0, "")])
def test_a_disk_that_runs_full_ends_the_run_soon_and_harms_nothing(tmp_path, leave, what):
    """On a real file system of 2 MiB, in a mount namespace of its own: ENOSPC, not a simulation of it.

    Only one checkpoint is kept. With a little room left the log can still be written and the checkpoint cannot; with
    none the log fails first. The run ends long before the next checkpoint, or the last step, is due.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    space = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c"]
    probe = ["mount -t tmpfs -o size=2m tmpfs " + str(disk)]
    if shutil.which("unshare") is None or subprocess.run([*space, *probe], capture_output=True).returncode:
        pytest.skip("this system allows no mount namespace to an unprivileged user")
    run = [sys.executable, "-W", "error", training_toys.__file__, f"--workdir={disk / 'run'}"]
    run += ["--fill_disk_at_step=30", f"--leave={leave}"]
    run += [
        "--config=training__steps=400,training__checkpoint_every=20,training__checkpoint_keep=1,"
        "training__eval_every=0,training__sample_every=0,training__log_every=1"
    ]
    process = subprocess.Popen(
        [*space, ON_A_SMALL_DISK, "bash", str(disk), str(tmp_path / "kept"), *run],
        env=environment(1),
        stderr=subprocess.PIPE,
        text=True,
    )
    [(status, error)] = finish(process)
    [line] = [line for line in error.splitlines() if line.startswith("magvit_jax.errors.UserError")]
    assert status == 1 and what in line and "No space left on device" in line, error
    assert "Traceback" not in error.split(line)[1]
    assert checkpoint_steps(tmp_path / "kept") == [20]
    config = toy_config()
    assert load_state(tmp_path / "kept", Regression(config)).step == 20
    log = (tmp_path / "kept" / "metrics.jsonl").read_text()  # its last line may be half, which the next start drops
    steps = [int(step) for step in re.findall(r'^{"step": (\d+),', log, re.MULTILINE)]
    assert steps == list(range(1, steps[-1] + 1)) and 28 <= steps[-1] < 55


def test_without_its_other_process_a_run_ends_soon_and_goes_on_when_both_are_back(tmp_path, uninterrupted):
    first, second = start_two(tmp_path, {}, dict(kill_at_step=7))
    [(killed, _)] = finish(second)
    died = time.monotonic()
    [(status, error)] = finish(first)
    assert time.monotonic() - died < 60 and killed == -signal.SIGKILL and status != 0, error
    stopped = latest_step(tmp_path)
    assert 0 < stopped < 8
    results = finish(*start_two(tmp_path, {}, {}))
    assert [status for status, _ in results] == [0, 0], results
    assert f"going on from the checkpoint of step {stopped}" in results[0][1]
    for key, value in leaves(toy_train(tmp_path)).items():
        np.testing.assert_allclose(value, uninterrupted.state[key], rtol=1e-4, atol=1e-6, err_msg=key)


def test_slurm_tells_the_processes_who_they_are(tmp_path, uninterrupted):
    """The variables that `srun` sets; the others are read by JAX in the same way."""
    job = dict(SLURM_JOB_ID=str(os.getpid()), SLURM_STEP_NODELIST="localhost", SLURM_NTASKS="2")
    numbers = [dict(job, SLURM_PROCID=str(number), SLURM_LOCALID=str(number)) for number in range(2)]
    results = finish(*[start(tmp_path, 4, more, coordinator="auto") for more in numbers])
    assert [status for status, _ in results] == [0, 0], results
    assert "loss" in results[0][1] and "loss" not in results[1][1]
    for key, value in leaves(toy_train(tmp_path)).items():
        np.testing.assert_allclose(value, uninterrupted.state[key], rtol=1e-4, atol=1e-6, err_msg=key)


def start_two(workdir, *flags):
    """Two processes of four devices each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    return [start(workdir, 4, coordinator=coordinator, process=number, **own) for number, own in enumerate(flags)]


def test_two_processes_share_a_run_and_stop_together(tmp_path, uninterrupted, records):
    """data x fsdp x tensor over 2 x 4 devices; only one gets SIGTERM; this process goes on with 8."""
    results = finish(*start_two(tmp_path, {}, dict(terminate_at_step=4)))
    assert [status for status, _ in results] == [0, 0], results
    stopped = latest_step(tmp_path)
    assert 4 <= stopped < 8 and "stopped by SIGTERM" in results[0][1]
    assert "loss" not in results[1][1]  # the second process writes nothing

    state = leaves(toy_train(tmp_path))
    found, expected = records(tmp_path), uninterrupted.records
    assert [(r["kind"], r["step"]) for r in found] == [(r["kind"], r["step"]) for r in expected]
    for a, b in zip(found, expected, strict=True):
        for key in a.keys() - {"kind"}:
            np.testing.assert_allclose(a[key], b[key], rtol=2e-5, err_msg=f"{key} at step {a['step']}")
    for key, value in state.items():
        np.testing.assert_allclose(value, uninterrupted.state[key], rtol=1e-4, atol=1e-6, err_msg=key)
