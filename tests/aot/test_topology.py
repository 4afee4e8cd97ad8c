"""Names of TPU slices, and what is said of those that do not exist."""

import importlib.util

import pytest

from magvit_jax.aot.topology import get_topology
from magvit_jax.errors import UserError


@pytest.mark.parametrize("name", ["v5e", "v5e-16", "v5e:4*4", "v5e:4x", "tpu", "", "v5e:2x2 "])
def test_names_of_another_form(name):
    with pytest.raises(UserError, match="expected a chip and its slice, such as v5e:4x4"):
        get_topology(name)


def test_an_unknown_chip():
    with pytest.raises(UserError, match="chip 'v9'; expected one of v4, v5e, v5p, v6e"):
        get_topology("v9:2x2")


def test_without_the_compiler(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="not installed: pip install libtpu"):
        get_topology("v5e:2x2")


@pytest.mark.aot
@pytest.mark.parametrize(
    ("name", "slices", "chips", "devices"),
    [("v5e:1x1", 1, 1, 1), ("v5e:2x2", 1, 4, 4), ("v5p:2x2x1", 2, 8, 8), ("v6e:4x4", 1, 16, 16), ("v4:2x2x1", 1, 4, 8)],
)
def test_slices(name, slices, chips, devices):
    topology = get_topology(name, slices)
    assert (topology.chips, len(topology.devices)) == (chips, devices)
    assert {device.platform for device in topology.devices} == {"tpu"}


@pytest.mark.aot
def test_a_shape_that_the_compiler_does_not_know():
    with pytest.raises(UserError, match="'v5e:3x3': the TPU compiler does not know it .*2x2x1"):
        get_topology("v5e:3x3")
