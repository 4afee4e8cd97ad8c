"""The public surface is what the package's docstring lists, and importing it is cheap."""

import subprocess
import sys

import pytest

import magvit_jax


def test_every_public_name_is_there():
    assert set(magvit_jax.__all__) == {
        "UserError",
        "load_generator",
        "load_sound_tokenizer",
        "load_tokenizer",
        "metrics",
        "ops",
    }
    for name in magvit_jax.__all__:
        assert getattr(magvit_jax, name) is not None
        assert name in magvit_jax.__doc__
    assert callable(magvit_jax.ops.lfq_entropy) and callable(magvit_jax.metrics.psnr)
    assert issubclass(magvit_jax.UserError, ValueError)


def test_other_names_are_missing_as_of_any_module():
    with pytest.raises(AttributeError, match="'magvit_jax' has no attribute 'tokenise'"):
        _ = magvit_jax.tokenise


def test_importing_the_package_imports_no_jax():
    code = "import sys, magvit_jax; assert 'jax' not in sys.modules; print(magvit_jax.__version__)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == magvit_jax.__version__
