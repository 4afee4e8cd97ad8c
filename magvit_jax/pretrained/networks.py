"""The frozen networks, ready to be applied to pixels."""

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.partitioning import unbox
from magvit_jax.pretrained import weights
from magvit_jax.pretrained.definition import Definition
from magvit_jax.pretrained.language import LANGUAGE
from magvit_jax.pretrained.row import Network
from magvit_jax.pretrained.table import NETWORKS
from magvit_jax.pretrained.vision import VISION
from magvit_jax.typing import Array, Dtype, PyTree

#: By the names of `NETWORKS`: given the compute dtype, what the network is.
DEFINITIONS: dict[str, Callable[[Dtype], Definition]] = {**VISION, **LANGUAGE}


@dataclasses.dataclass(frozen=True)
class FrozenNetwork:
    """A network with its weights: calling it gives its features.

    Attributes:
      name: as in `NETWORKS`.
      definition: its module, and how its input is prepared.
      params: its parameters, float32.
      fingerprint: of its weights; part of every result that is made with it.
      vocabulary: the published file of a network that reads, for its tokenizer; empty of the others.
    """

    name: str
    definition: Definition
    params: PyTree
    fingerprint: str
    vocabulary: bytes = b""

    def apply(self, params: PyTree, *inputs: Array) -> Any:
        """Features as a pure function, to be traced; inputs are what `definition.prepare` takes."""
        definition = self.definition
        # Accelerators would round float32 to fewer bits by default, and a metric would depend on the device.
        with jax.default_matmul_precision("highest"):
            return definition.module.apply({"params": params}, *map(definition.prepare, inputs))

    def __call__(self, *inputs: Array) -> Any:
        """Features of one batch, compiled once a shape."""
        return self._compiled(self.params, *inputs)

    @functools.cached_property
    def _compiled(self) -> Callable[..., Any]:
        return jax.jit(self.apply)


def load(
    name: str, weights_dir: str | os.PathLike | None = None, dtype: Dtype = jnp.float32
) -> FrozenNetwork:
    """A frozen network from its bundle.

    Args:
      name: one of `NETWORKS`.
      weights_dir: the folder of weights; the environment's `MAGVIT_WEIGHTS` by default.
      dtype: compute dtype. Published numbers are float32's.

    Raises:
      MissingWeights: there is no bundle; the line says how to make it.
      UserError: an unknown name, or a bundle that is damaged or another network's.
    """
    row = known(name)
    path = weights.find(row, weights_dir)
    arrays, mark = weights.read(path, row)
    vocabulary = arrays.pop(weights.VOCABULARY, np.zeros(0, np.uint8)).tobytes()
    definition = DEFINITIONS[name](dtype)
    require_same(arrays, abstract_params(definition), os.fspath(path))
    params = jax.tree.map(jnp.asarray, flax.traverse_util.unflatten_dict(arrays, sep="/"))
    return FrozenNetwork(name, definition, params, mark, vocabulary)


def known(name: str) -> Network:
    """The row of a network; UserError for a name that is none."""
    if name not in NETWORKS:
        raise UserError(f"network {name!r} is unknown; expected one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def abstract_params(definition: Definition) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of a network's parameters by path; nothing is computed."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(definition.module.init, key, *definition.example)
    return flax.traverse_util.flatten_dict(unbox(variables["params"]), sep="/")


def require_same(arrays: dict[str, np.ndarray], expected: dict[str, jax.ShapeDtypeStruct], path: str) -> None:
    """UserError naming the first parameter whose presence, shape or type differs from the network's."""
    for name in sorted(set(arrays) | set(expected)):
        found, wanted = (
            f"{tree[name].dtype} {list(tree[name].shape)}" if name in tree else "absent"
            for tree in (arrays, expected)
        )
        if found != wanted:
            raise UserError(f"{path}: parameter {name} is {found}; expected {wanted}")
