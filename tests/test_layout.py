"""The layout check holds for this repository, and catches what it is there to catch."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def layout():
    spec = importlib.util.spec_from_file_location("check_layout", ROOT / "tools" / "check_layout.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_repository_is_in_order(layout):
    assert "\n".join(map(str, layout.check(ROOT))) == ""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("magvit_jax/sampling/parallel.py", "from magvit_jax.transformer.masked import MaskedTransformer"),
        ("magvit_jax/sampling/parallel.py", "from magvit_jax import transformer"),
        ("magvit_jax/sampling/parallel.py", "from ..transformer import masked"),
        ("magvit_jax/sampling/parallel.py", "from .. import transformer"),
        ("magvit_jax/ops/attention/api.py", "def f():\n    import magvit_jax.nn.norm as n\n    return n"),
        ("magvit_jax/training/loop.py", "import magvit_jax"),
        ("magvit_jax/training/loop.py", "from magvit_jax import load_tokenizer"),
        ("magvit_jax/typing.py", "from magvit_jax.errors import UserError"),
        ("magvit_jax/systems/gan.py", "from magvit_jax.cli import flags"),
        ("magvit_jax/systems/gan.py", "from configs.tokenizer import magvit2"),
        ("magvit_jax/bundles.py", "import experiments.chapter5"),
        ("configs/tokenizer/tiny.py", "import magvit_jax.tokenizer"),
        ("configs/tokenizer/tiny.py", "import os"),
        ("magvit_jax/novelty/idea.py", "x = 1"),
        ("tests/data/test_folders.py", "def test():\n    from configs import _data"),
    ],
)
def test_planted_import_is_caught(layout, path, line):
    violations = layout.check_imports(path, f'"""Doc."""\n{line}\n')
    assert [violation.path for violation in violations] == [path]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("magvit_jax/sampling/parallel.py", "from magvit_jax.tokens import schedules"),
        ("magvit_jax/sampling/parallel.py", "from . import guidance"),
        ("magvit_jax/sampling/parallel.py", "from ..tokens.schedules import cosine"),
        ("magvit_jax/media/grid.py", "from magvit_jax.errors import UserError\nimport numpy.testing"),
        ("magvit_jax/bundles.py", "from magvit_jax import __version__"),
        ("magvit_jax/cli/train.py", "import configs.tokenizer.tiny\nfrom magvit_jax import load_tokenizer"),
        ("configs/tokenizer/tiny.py", "from ml_collections import ConfigDict\nfrom configs import base"),
        ("configs/tokenizer/tiny.py", "from . import base"),
        ("tests/data/test_folders.py", "import magvit_jax.cli, numpy, configs_of_mine"),
        ("experiments/chapter5/run.py", "import os, configs, magvit_jax.cli"),
    ],
)
def test_allowed_import_passes(layout, path, line):
    assert layout.check_imports(path, line) == []


def test_the_line_of_an_import_is_named(layout):
    (violation,) = layout.check_imports(
        "magvit_jax/ops/x.py", "import jax\n\nfrom magvit_jax.nn import conv\n"
    )
    assert str(violation).startswith("magvit_jax/ops/x.py:3: ops imports magvit_jax.nn.conv;")


def test_length_limit(layout, tmp_path, capsys):
    assert layout.check_length("a.py", "x = 1\n" * 500) == []
    (tmp_path / "magvit_jax" / "ops").mkdir(parents=True)
    (tmp_path / "magvit_jax" / "ops" / "long.py").write_text("x = 1\n" * 501)
    (tmp_path / "magvit_jax" / "ops" / "bad.py").write_text("import magvit_jax.cli\n")
    assert layout.main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "magvit_jax/ops/long.py:0: 501 lines, at most 500" in printed
    assert "magvit_jax/ops/bad.py:1: ops imports magvit_jax.cli" in printed
    assert layout.main([str(tmp_path / "magvit_jax")]) == 2
