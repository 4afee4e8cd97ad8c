"""Inflation: the parameters of an image model as the first parameters of a video model (thesis 3.2.1, 5.4.2).

It knows trees of parameters and no model, so encoder, decoder, discriminator and their moving averages are
inflated alike, each by a call of its own.
"""

from typing import Literal, get_args

import flax.traverse_util
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.typing import PyTree

Method = Literal["central", "average", "last"]
METHODS = get_args(Method)


def inflate(image_params: PyTree, video_params: PyTree, method: Method, name: str = "image model") -> PyTree:
    """The image model's parameters in the shapes of the video model.

    A convolution kernel whose extent in time grows from one gets its time axis filled by `method`; everything
    else is copied. A 2D kernel [H, W, I, O] counts as [1, H, W, I, O]. A convolution before depth-to-space in
    time, in a module named "..._up", makes so many more channels, the time slowest: its kernel and bias are
    repeated, so that every new frame is the image model's.

    Args:
      image_params: nested dict of arrays, unboxed.
      video_params: nested dict of anything that has a `shape`: what the video model needs.
      method: "central" puts the kernel into the slice that meets the output's own frame, among zeros: a clip
        is treated frame by frame. "average" spreads it evenly over the slices, which is the same on frames
        that do not change. "last" puts it into the last slice, which is the output's own frame where
        convolutions are causal.
      name: of the image model, for errors.

    Returns:
      Nested dict of numpy arrays with the keys and shapes of `video_params` and the dtypes of `image_params`.

    Raises:
      UserError: an unknown method, or parameters that do not fit, naming the first.
    """
    if method not in METHODS:
        raise UserError(f"inflation {method!r} is unknown; expected one of {', '.join(METHODS)}")
    image = flax.traverse_util.flatten_dict(image_params, sep="/")
    video = flax.traverse_util.flatten_dict(video_params, sep="/")
    inflated = {}
    for key in sorted(set(image) | set(video)):
        shapes = [list(tree[key].shape) if key in tree else "absent" for tree in (image, video)]
        value = None if "absent" in shapes else _fit(np.asarray(image[key]), tuple(shapes[1]), key, method)
        if value is None:
            raise UserError(f"{name}: parameter {key} is {shapes[0]}; cannot be inflated to {shapes[1]}")
        inflated[key] = value
    return flax.traverse_util.unflatten_dict(inflated, sep="/")


def _fit(value: np.ndarray, shape: tuple[int, ...], key: str, method: Method) -> np.ndarray | None:
    """`value` in that shape, or None where there is no way to it."""
    *modules, leaf = key.split("/")
    if value.shape != shape and any(module.endswith("_up") for module in modules):
        value = _repeat_outputs(value, shape)
    if value.shape == shape:
        return value
    if leaf == "kernel" and len(shape) == 5:
        kernel = value[None] if value.ndim == 4 else value
        if kernel.shape == (1, *shape[1:]):
            return _fill_time(kernel, shape[0], method)
    return None


def _fill_time(kernel_1HWIO: np.ndarray, taps: int, method: Method) -> np.ndarray:
    if method == "average":
        return np.repeat(kernel_1HWIO / np.asarray(taps, kernel_1HWIO.dtype), taps, axis=0)
    inflated = np.zeros((taps, *kernel_1HWIO.shape[1:]), kernel_1HWIO.dtype)
    inflated[(taps - 1) // 2 if method == "central" else taps - 1] = kernel_1HWIO[0]
    return inflated


def _repeat_outputs(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    times, rest = divmod(shape[-1], value.shape[-1])
    return value if rest or times < 2 else np.concatenate([value] * times, axis=-1)
