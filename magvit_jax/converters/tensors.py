"""One tensor out of somebody else's checkpoint, checked; and PyTorch's memory layouts in ours."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from magvit_jax.errors import UserError

# Axes of a PyTorch array in the order of ours: [out, in, space ...] becomes [space ..., in, out].
_AXES = {5: (2, 3, 4, 1, 0), 4: (2, 3, 1, 0), 3: (2, 1, 0), 2: (1, 0), 1: (0,), 0: ()}


def take(tensors: Mapping[str, Any], key: str, shape: tuple[int, ...], source: str) -> np.ndarray:
    """One tensor as float32.

    Raises:
      UserError: it is missing, of another type or shape, or not finite.
    """
    if key not in tensors:
        raise UserError(f"{source}: key {key} is missing; expected a tensor {list(shape)}")
    value = tensors[key]
    if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.floating):
        what = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise UserError(f"{source}: key {key} is {what}; expected a tensor of floats")
    if value.shape != shape:
        raise UserError(f"{source}: key {key} is {list(value.shape)}; expected {list(shape)}")
    value = value.astype(np.float32, copy=False)
    if not np.isfinite(value).all():
        raise UserError(f"{source}: key {key} holds NaN or infinity; expected finite weights")
    return value


def torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape that PyTorch gives a kernel or vector of our shape."""
    return tuple(shape[axis] for axis in np.argsort(_AXES[len(shape)]))


def from_torch(value: np.ndarray) -> np.ndarray:
    """A kernel or vector of PyTorch in our layout. Always a copy: theirs may be a mapped file."""
    return np.array(value.transpose(_AXES[value.ndim]), order="C")
