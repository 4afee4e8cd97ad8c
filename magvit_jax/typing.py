"""Array aliases. The letters of the dimensions are in `docs/dimensions.md`."""

from collections.abc import Mapping
from typing import Any

import jax

Array = jax.Array
PRNGKey = jax.Array
Dtype = Any
PyTree = Any
Batch = Mapping[str, Array]
