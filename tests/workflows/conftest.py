"""Tiny trained models, and quick compilation of everything these tests run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import tiny_models  # noqa: E402


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """`tiny.tokenizer` and `tiny.generator`: workdir, bundle, state, config. Read only."""
    return tiny_models.trained(tmp_path_factory)


@pytest.fixture(autouse=True)
def quick_compilation():
    with tiny_models.quick_compilation():
        yield
