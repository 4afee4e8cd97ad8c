"""Two processes with two devices each measure one set of clips between them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import host_of_two
import numpy as np
import toy_networks

from magvit_jax.evaluation.hosts import merge_over_hosts, rows_of_hosts
from magvit_jax.metrics import FeatureStatistics


def free_port():
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def test_one_process_is_left_alone():
    statistics = FeatureStatistics.of(np.eye(3))
    assert merge_over_hosts(statistics).count == 3
    np.testing.assert_array_equal(rows_of_hosts(np.eye(3)), np.eye(3))


def test_two_processes_find_what_one_does(tmp_path):
    root = Path(host_of_two.__file__).parents[2]
    path = os.pathsep.join([str(root), str(root / "tests" / "evaluation"), os.environ.get("PYTHONPATH", "")])
    more = dict(os.environ, PYTHONPATH=path, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    address = f"localhost:{free_port()}"
    outputs = [tmp_path / f"{process}.npz" for process in range(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, host_of_two.__file__, address, str(process), str(output)],
            env=more,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process, output in enumerate(outputs)
    ]
    try:
        errors = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], errors
    video = toy_networks.clips(host_of_two.CLIPS)
    expected = toy_networks.reference(toy_networks.of_clips(), video)["logits"]
    expected = np.concatenate([expected[0::2], expected[1::2]])
    found = [dict(np.load(output)) for output in outputs]
    for name in found[0]:
        np.testing.assert_array_equal(found[0][name], found[1][name])
    np.testing.assert_allclose(found[0]["rows"], expected, rtol=1e-5, atol=2e-5)
    # In float64: what travelled as float32 would be wrong in the eighth digit.
    one = FeatureStatistics.of(found[0]["rows"])
    np.testing.assert_allclose(found[0]["mean_F"], one.mean_F, rtol=1e-13)
    np.testing.assert_allclose(found[0]["scatter_FF"], one.scatter_FF, rtol=1e-10, atol=1e-10)
    assert found[0]["count"] == host_of_two.CLIPS
