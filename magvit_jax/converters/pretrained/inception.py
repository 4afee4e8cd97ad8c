"""Inception-v3 of FID under the keys of pytorch-fid's port, which are torchvision's."""

import numpy as np

from magvit_jax.converters.pretrained import by_name
from magvit_jax.converters.pretrained.files import Source
from magvit_jax.pretrained.networks import abstract_params
from magvit_jax.pretrained.vision import inception


def arrays(source: Source) -> dict[str, np.ndarray]:
    """Our arrays by path. UserError naming the first key that does not fit."""
    return by_name.arrays(source, abstract_params(inception(np.float32)))
