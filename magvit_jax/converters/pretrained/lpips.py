"""The trunks of LPIPS under torchvision's keys, and its heads under its own."""

from collections.abc import Callable

import numpy as np

from magvit_jax.converters.pretrained import by_name
from magvit_jax.converters.pretrained.files import Source
from magvit_jax.converters.tensors import take
from magvit_jax.pretrained.definition import Definition
from magvit_jax.pretrained.networks import abstract_params
from magvit_jax.pretrained.vision import lpips_alex, lpips_vgg
from magvit_jax.typing import Dtype

#: The layers of torchvision's classifiers that LPIPS does without.
IGNORED = ("classifier.",)
_HEAD = "lin"


def vgg(trunk: Source, heads: Source) -> dict[str, np.ndarray]:
    """Arrays of `lpips_vgg` by path. UserError naming the first key that does not fit."""
    return _arrays(lpips_vgg, trunk, heads)


def alex(trunk: Source, heads: Source) -> dict[str, np.ndarray]:
    """Arrays of `lpips_alex` by path. UserError naming the first key that does not fit."""
    return _arrays(lpips_alex, trunk, heads)


def _arrays(build: Callable[[Dtype], Definition], trunk: Source, heads: Source) -> dict[str, np.ndarray]:
    expected = abstract_params(build(np.float32))
    layers = {path: leaf for path, leaf in expected.items() if not path.startswith(_HEAD)}
    found = by_name.arrays(trunk, layers, key_of, IGNORED)
    for path in expected.keys() - layers.keys():
        (channels,) = expected[path].shape
        head = take(heads.tensors, f"{path}.model.1.weight", (1, channels, 1, 1), heads.name)
        found[path] = head.reshape(channels).copy()
    return found


def key_of(path: str) -> str:
    """"features_0/kernel" is "features.0.weight"."""
    return by_name.key_of(path).replace("features_", "features.")
