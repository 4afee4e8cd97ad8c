"""The helpers of these tests are modules beside them; and quick compilation."""

import sys
from pathlib import Path

import jax
import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def quick_compilation():
    """XLA compiles faster and computes slower: right for programs that take longer to compile than to run."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
