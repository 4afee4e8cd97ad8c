"""Quick compilation of everything these tests run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from tiny_models import quick_compilation as quick  # noqa: E402


@pytest.fixture(autouse=True)
def quick_compilation():
    with quick():
        yield
