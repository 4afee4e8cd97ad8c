"""The tokens of a batch as the devices hold them, for work that needs a whole parameter beside each part.

A matrix that all devices share and that a loop uses over and over is summed over the devices once a turn of the loop in
the backward pass, since the partitioner sees a total in every turn. Written as one copy a device, an array [S, ...]
split over its first axis, each device adds up its own copy and the copies are summed once, behind the loop.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from magvit_jax.partitioning import logical_spec
from magvit_jax.typing import Array

FREE = PartitionSpec.UNCONSTRAINED


@dataclasses.dataclass(frozen=True)
class TokenParts:
    """S = `batch_parts` x `length_parts` parts of [B, N] tokens, one for each device that holds other tokens.

    Attributes:
        batch_parts, length_parts: into how many the rules split B and N; 1 and 1 without a mesh.
        axes: the mesh axes that do it, empty without a mesh.
    """

    batch_parts: int
    length_parts: int
    axes: tuple[str, ...]

    @classmethod
    def of(cls, batch: int, length: int) -> "TokenParts":
        """The parts of [batch, length] tokens on the mesh and under the rules of `logical_context`."""
        spec = logical_spec(("activation_batch", "activation_length"), (batch, length))
        if spec is None:
            return cls(1, 1, ())
        mesh = jax.sharding.get_abstract_mesh()
        axes = [() if part is None else (part,) if isinstance(part, str) else tuple(part) for part in spec]
        return cls(*(math.prod(mesh.shape[axis] for axis in names) for names in axes), axes[0] + axes[1])

    def split(self, x_BN: Array) -> Array:
        """[B, N, ...] -> [S, T, ...], the T = B N / S tokens of each part; moves nothing between devices."""
        batch, length = x_BN.shape[:2]
        grid = (self.batch_parts, batch // self.batch_parts, self.length_parts, length // self.length_parts)
        x_ST = x_BN.reshape(*grid, *x_BN.shape[2:]).swapaxes(1, 2)
        return self._keep(x_ST.reshape(self.batch_parts * self.length_parts, -1, *x_BN.shape[2:]))

    def join(self, x_ST: Array, batch: int, length: int) -> Array:
        """[S, T, ...] -> [B, N, ...], what `split` undid."""
        grid = (self.batch_parts, self.length_parts, batch // self.batch_parts, length // self.length_parts)
        x_BN = self._keep(x_ST).reshape(*grid, *x_ST.shape[2:]).swapaxes(1, 2)
        return x_BN.reshape(batch, length, *x_ST.shape[2:])

    def copies(self, x: Array) -> Array:
        """[...] -> [S, ...], one whole `x` for each part; the gradient of `x` is the sum over them."""
        return self._keep(jnp.broadcast_to(x[None], (self.batch_parts * self.length_parts, *x.shape)))

    def _keep(self, x_S: Array) -> Array:
        if not self.axes:
            return x_S
        return jax.lax.with_sharding_constraint(x_S, PartitionSpec(self.axes, *[FREE] * (x_S.ndim - 1)))
