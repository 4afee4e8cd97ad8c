"""Open-MAGVIT2's name and memory layout of each of our parameters."""

import re
from collections.abc import Sequence

import numpy as np

EMA = "model_ema."
CONVOLUTIONS = {"conv", "conv_in", "conv_out", "conv1", "conv2", "shortcut"}
_RENAMED = (
    (r"^encoder/level(\d+)_block(\d+)", r"encoder/down.\1.block.\2"),
    (r"^decoder/level(\d+)_block(\d+)", r"decoder/up.\1.block.\2"),
    (r"mid_block(\d+)", r"mid_block.\1"),
    (r"level(\d+)_down/conv$", r"down.\1.downsample"),
    (r"level(\d+)_up/conv$", r"up.\1.upsample.conv1"),
    (r"level(\d+)_adapt", r"adaptive.\1"),
    (r"shortcut$", "nin_shortcut"),
)
# Axes of our array in the order of theirs: kernels [T, H, W, in, out] and [in, out], and vectors.
_AXES = {5: (4, 3, 0, 1, 2), 2: (1, 0), 1: (0,)}
_TIME = 2  # of a convolution's kernel in their order; an image model has no such axis


def key_of(path: str, video: bool) -> str:
    """Their key: "encoder/level0_block1/conv1/kernel" is "encoder.down.0.block.1.conv1.weight".

    A video model wraps its convolutions, so their names have ".conv_1" after them.
    """
    module, _, leaf = path.rpartition("/")
    convolution = module.rpartition("/")[2] in CONVOLUTIONS
    for pattern, replacement in _RENAMED:
        module = re.sub(pattern, replacement, module)
    wrapper = ".conv_1" if video and convolution else ""
    return f"{module.replace('/', '.')}{wrapper}.{'bias' if leaf == 'bias' else 'weight'}"


def ema_key(key: str) -> str:
    """Where the moving average of `key` is: its name without dots."""
    return EMA + key.replace(".", "")


def their_shape(shape: Sequence[int], video: bool) -> tuple[int, ...]:
    """Shape that a parameter of ours has there."""
    theirs = [shape[axis] for axis in _AXES[len(shape)]]
    if len(shape) == 5 and not video:
        del theirs[_TIME]
    return tuple(theirs)


def to_theirs(value: np.ndarray, video: bool) -> np.ndarray:
    """A parameter of ours in their layout."""
    return np.ascontiguousarray(value.transpose(_AXES[value.ndim]).reshape(their_shape(value.shape, video)))


def to_ours(value: np.ndarray) -> np.ndarray:
    """A tensor of theirs in our layout: the inverse of `to_theirs`. Always a copy: theirs may be a mapped file."""
    if value.ndim == 4:
        value = np.expand_dims(value, _TIME)
    return np.array(value.transpose(np.argsort(_AXES[value.ndim])), order="C")
