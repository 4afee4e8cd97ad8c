"""Published weights of a frozen network as a bundle in the folder of weights."""

import os
from pathlib import Path
from typing import NamedTuple

from magvit_jax.converters.pretrained import CONVERTERS
from magvit_jax.converters.pretrained.files import read
from magvit_jax.pretrained import weights
from magvit_jax.pretrained.networks import known


class Written(NamedTuple):
    """A bundle that was written: its file, fingerprint, and the number of values in it."""

    path: Path
    fingerprint: str
    size: int


def convert_pretrained(
    name: str, checkpoint: str | os.PathLike, weights_dir: str | os.PathLike
) -> Written:
    """Makes the bundle of a frozen network from its published files.

    Args:
      name: one of `pretrained.NETWORKS`.
      checkpoint: the published file, or the folder that holds the published files.
      weights_dir: the folder of weights, where the bundle goes.

    Raises:
      UserError: a file that is missing, damaged, unsafe or not the published one, or keys that do not fit.
    """
    row = known(name)
    arrays = CONVERTERS[name](*read(row, checkpoint))
    path, fingerprint = weights.write(arrays, row, weights_dir)
    return Written(path, fingerprint, sum(value.size for value in arrays.values()))
