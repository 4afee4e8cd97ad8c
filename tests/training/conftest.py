"""Makes the toy systems importable (they are also a script that tests start); a run to compare with."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import tiny_models  # noqa: E402
from training_toys import leaves, toy_train  # noqa: E402


@pytest.fixture(autouse=True)
def quick_compilation():
    with tiny_models.quick_compilation():
        yield


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory):
    """The toy run, never interrupted: its workdir, final state, records and samples."""
    workdir, samples = tmp_path_factory.mktemp("uninterrupted"), {}
    with tiny_models.quick_compilation():
        state = leaves(toy_train(workdir, on_sample=lambda step, videos: samples.update({step: videos})))
    return SimpleNamespace(workdir=workdir, state=state, records=read_records(workdir), samples=samples)


@pytest.fixture(scope="session")
def records():
    """Reads the records of a workdir, without the speed."""
    return read_records


def read_records(workdir):
    found = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [{key: x for key, x in record.items() if key != "steps_per_second"} for record in found]
