"""C3D under the keys of TGANv2's files: its weights as Chainer writes them, and the mean clip beside them."""

import numpy as np

from magvit_jax.converters.pretrained import by_name
from magvit_jax.converters.pretrained.files import Source
from magvit_jax.converters.tensors import take
from magvit_jax.errors import UserError
from magvit_jax.pretrained.c3d import CLIP
from magvit_jax.pretrained.networks import abstract_params
from magvit_jax.pretrained.vision import c3d_ucf101

MEAN = "mean"
#: The mean clip: channels (BGR), frames, height, width.
MEAN_SHAPE = (3, 16, 128, 171)
# TGANv2 cuts 112 x 112 out of it from here in both directions, although that is not the middle of its width.
_FROM = 8
# What fc6 sees there: channels, frames, height, width.
_SEEN = (512, 1, 4, 4)
#: TGANv2 keeps the preparation of its input in layers of these names, which it makes itself.
IGNORED = ("pre/", "mean/")


def arrays(weights: Source, mean: Source) -> dict[str, np.ndarray]:
    """Our arrays by path. UserError naming the first key that does not fit."""
    expected = abstract_params(c3d_ucf101(np.float32))
    del expected[MEAN]
    found = by_name.arrays(weights, expected, key_of, IGNORED)
    found["fc6/kernel"] = channels_last(found["fc6/kernel"])
    found[MEAN] = mean_clip(mean)
    return found


def key_of(path: str) -> str:
    """"conv1a/kernel" is "conv1a/W"."""
    module, _, leaf = path.rpartition("/")
    return f"{module}/{'W' if leaf == 'kernel' else 'b'}"


def channels_last(kernel: np.ndarray) -> np.ndarray:
    """fc6's kernel [channels * frames * height * width, outputs], its inputs in our order, channels last."""
    outputs = kernel.shape[1]
    return np.ascontiguousarray(kernel.reshape(*_SEEN, outputs).transpose(1, 2, 3, 0, 4)).reshape(-1, outputs)


def mean_clip(source: Source) -> np.ndarray:
    """The part of the mean clip that is subtracted, [16, 112, 112, 3]; theirs may have axes of 1 besides."""
    value = source.tensors.get(MEAN)
    if isinstance(value, np.ndarray) and value.size == np.prod(MEAN_SHAPE):
        value = value.reshape(MEAN_SHAPE)
    elif value is not None and not isinstance(value, np.ndarray):
        raise UserError(f"{source.name}: key {MEAN} is {type(value).__name__}; expected a tensor of floats")
    value = take({} if value is None else {MEAN: value}, MEAN, MEAN_SHAPE, source.name)
    cut = value[:, :, _FROM : _FROM + CLIP[1], _FROM : _FROM + CLIP[2]]
    return np.ascontiguousarray(cut.transpose(1, 2, 3, 0))
