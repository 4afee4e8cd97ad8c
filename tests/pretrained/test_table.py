"""The table of frozen networks: complete, of true sizes, and what the page shows."""

import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from magvit_jax.cli import flags
from magvit_jax.converters.pretrained import CONVERTERS
from magvit_jax.pretrained import NETWORKS
from magvit_jax.pretrained.networks import DEFINITIONS, abstract_params

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import pretrained_table  # noqa: E402


def test_every_network_has_a_module_a_converter_and_a_flag():
    assert set(NETWORKS) == set(DEFINITIONS) == set(CONVERTERS)
    for name, row in NETWORKS.items():
        args, _ = flags.parse([*row.command("here").split()[1:]])
        assert (args.source, args.output, row.name) == (name, Path("here"), name)


@pytest.mark.parametrize("name", NETWORKS)
def test_rows(name):
    """The number of parameters is the module's own, at full size."""
    row = NETWORKS[name]
    shapes = abstract_params(DEFINITIONS[name](np.float32))
    counted = (shape for path, shape in shapes.items() if path.rpartition("/")[2] not in ("mean", "var"))
    assert sum(math.prod(shape.shape) for shape in counted) == row.parameters
    assert row.licence and row.used_for and row.sources
    for source in row.sources:
        assert re.fullmatch("([0-9a-f]{8}|[0-9a-f]{64})?", source.sha256) and source.where
        # torchvision and others put the first digits of the digest into the file's name
        if digits := re.search(r"-([0-9a-f]{8})\.pth$", source.name):
            assert source.sha256.startswith(digits[1])


def test_the_page_shows_the_table():
    page = pretrained_table.PAGE.read_text()
    assert page == pretrained_table.updated(page), "run python tools/pretrained_table.py"
    for row in NETWORKS.values():
        assert f"`{row.file}`" in page and all(source.sha256 in page for source in row.sources)
