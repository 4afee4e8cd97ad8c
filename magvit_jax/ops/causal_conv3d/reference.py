"""XLA's own 3D convolution: the definition, and the default where the compiler has a fast one (TPU, GPU)."""

from jax import lax

from magvit_jax.ops.causal_conv3d.geometry import SpatialPadding, spatial_padding
from magvit_jax.typing import Array


def xla_conv3d(
    x_BTHWC: Array,
    kernel_THWIO: Array,
    strides: tuple[int, int, int],
    zero_frames: int,
    pads: SpatialPadding | None = None,
) -> Array:
    """Convolves x preceded by `zero_frames` frames of zeros; every temporal tap stays inside that stretch.

    `pads` are the zeros around a frame; those of `spatial_padding` by default. So for every implementation.
    """
    pads = tuple(map(spatial_padding, kernel_THWIO.shape[1:3])) if pads is None else pads
    return lax.conv_general_dilated(
        x_BTHWC,
        kernel_THWIO,
        window_strides=strides,
        padding=((zero_frames, 0), *pads),
        dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
    )
