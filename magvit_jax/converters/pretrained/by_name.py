"""Networks whose layers are named as PyTorch's, so that one rule finds the key of every parameter."""

import re
from collections.abc import Callable, Collection, Mapping

import jax
import numpy as np

from magvit_jax.converters.pretrained.files import Source
from magvit_jax.converters.tensors import from_torch, take, torch_shape
from magvit_jax.errors import UserError

LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
#: Counters of PyTorch's normalisations, which are no weights.
COUNTERS = re.compile(r"\.num_batches_tracked$")


def key_of(path: str) -> str:
    """"Mixed_3b/b0/conv3d/kernel" is "Mixed_3b.b0.conv3d.weight"."""
    module, _, leaf = path.rpartition("/")
    return f"{module.replace('/', '.')}.{LEAVES[leaf]}"


def arrays(
    source: Source,
    expected: Mapping[str, jax.ShapeDtypeStruct],
    key: Callable[[str], str] = key_of,
    ignored: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """Our arrays by path.

    Args:
      expected: shapes by path, as of `networks.abstract_params`.
      key: their key of a path.
      ignored: beginnings of keys that are no part of the network as it is used here.

    Raises:
      UserError: names the first key that is missing, in excess, or does not fit.
    """
    keys = {path: key(path) for path in expected}
    found = {
        path: from_torch(take(source.tensors, keys[path], torch_shape(leaf.shape), source.name))
        for path, leaf in expected.items()
    }
    known = set(keys.values())
    for name in source.tensors:
        if name not in known and not COUNTERS.search(name) and not name.startswith(tuple(ignored)):
            raise UserError(f"{source.name}: key {name} is none of this network")
    return found
