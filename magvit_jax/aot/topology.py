"""TPU slices by name, as devices that can be compiled for on a machine that has none."""

import importlib.util
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
from jax.experimental import topologies

from magvit_jax.aot.chips import Chip, chip
from magvit_jax.errors import UserError

#: For libtpu, read when it is first loaded: look for no TPU and no metadata server, and share the machine.
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-1",
    "TPU_WORKER_HOSTNAMES": "localhost",
}


@dataclass(frozen=True)
class Topology:
    """A slice, or several.

    Attributes:
      name: such as "v5p:4x4x4".
      shape: chips along each axis of a slice.
      slices: how many slices; between them there is only the data-centre network.
      devices: for `partitioning.make_mesh`; one for each chip, of v4 two.
    """

    name: str
    chip: Chip
    shape: tuple[int, ...]
    slices: int
    devices: Sequence[Any]

    @property
    def chips(self) -> int:
        return math.prod(self.shape) * self.slices


def get_topology(name: str, slices: int = 1) -> Topology:
    """The topology of a name such as "v4:2x2x1", "v5e:2x2", "v5p:4x4x4", "v6e:16x16".

    Args:
      slices: as many slices of that shape.

    Raises:
      UserError: a name of another form, a chip or a shape that libtpu does not know, or no libtpu.
    """
    expected = "expected a chip and its slice, such as v5e:4x4, v6e:16x16, v4:2x2x1 or v5p:4x4x4"
    match = re.fullmatch(r"(v\w+):(\d+(?:x\d+)*)", name)
    if match is None:
        raise UserError(f"topology {name!r}: {expected}")
    kind, shape = chip(match[1]), tuple(int(part) for part in match[2].split("x"))
    if slices < 1:
        raise UserError(f"topology {name!r}: {slices} slices; expected 1 or more")
    if importlib.util.find_spec("libtpu") is None:
        raise UserError(f"topology {name!r}: needs the TPU compiler, which is not installed: pip install libtpu")
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    options = {} if slices == 1 else dict(num_slices=slices)
    if math.prod(shape) == 1:
        options["chips_per_host_bounds"] = (1, 1, 1)
    try:
        devices = topologies.get_topology_desc(platform="tpu", topology_name=name, **options).devices
    except (jax.errors.JaxRuntimeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split()).removeprefix("INVALID_ARGUMENT: ")
        raise UserError(f"topology {name!r}: the TPU compiler does not know it ({reason}); {expected}") from error
    found = Topology(name, kind, shape, slices, devices)
    if len(devices) != found.chips * kind.devices:
        raise UserError(f"topology {name!r}: the TPU compiler has {len(devices)} devices for {found.chips} chips")
    return found
