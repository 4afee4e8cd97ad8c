"""Quick compilation, and the embedded test clips."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from tiny_models import quick_compilation as quick  # noqa: E402

from magvit_jax.data.embedded import render_clip  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def quick_compilation():
    with quick():
        yield


@pytest.fixture(scope="session")
def digits():
    """(uint8 [128, 9, 32, 32, 3], labels) of the embedded test split. Read only."""
    videos, labels = zip(*(render_clip(0, "test", i, 9, 32, 32) for i in range(128)), strict=True)
    return np.stack(videos), np.asarray(labels)
