"""ResNet-50 under torchvision's keys."""

import re

import numpy as np

from magvit_jax.converters.pretrained import by_name
from magvit_jax.converters.pretrained.files import Source
from magvit_jax.pretrained.networks import abstract_params
from magvit_jax.pretrained.vision import resnet50

_RENAMED = (
    (r"^stem\.(conv|bn)", r"\g<1>1"),
    (r"^layer(\d)_(\d)", r"layer\1.\2"),
    (r"part(\d)\.(conv|bn)", r"\2\1"),
    (r"downsample\.conv", "downsample.0"),
    (r"downsample\.bn", "downsample.1"),
)


def arrays(source: Source) -> dict[str, np.ndarray]:
    """Our arrays by path. UserError naming the first key that does not fit."""
    return by_name.arrays(source, abstract_params(resnet50(np.float32)), key_of)


def key_of(path: str) -> str:
    """"layer1_0/part2/bn/scale" is "layer1.0.bn2.weight"."""
    key = by_name.key_of(path)
    for pattern, replacement in _RENAMED:
        key = re.sub(pattern, replacement, key)
    return key
