"""The formula of LPIPS (Zhang et al. 2018) on feature maps of a network; the network is somebody else's part."""

from collections.abc import Sequence

import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.typing import Array

_EPSILON = 1e-10  # beside a feature vector's length, as in the authors' code


def lpips_distance(
    maps_a_NHWC: Sequence[Array], maps_b_NHWC: Sequence[Array], heads_C: Sequence[Array]
) -> Array:
    """Perceptual distance of each pair of pictures, from the feature maps of some layers of both.

    Of each layer: vectors over channels are scaled to length 1, their squared differences weighted by the
    layer's head, summed over channels and averaged over positions; layers add up. Runs under `jax.jit`.

    Args:
      maps_a_NHWC, maps_b_NHWC: [N, H, W, C] of each layer, the shapes of both sides equal.
      heads_C: the learned weight of each channel, at least 0, of each layer.

    Returns:
      float32 [N], at least 0; less is nearer.

    Raises:
      UserError: another number of layers, or shapes that do not fit.
    """
    if not len(maps_a_NHWC) == len(maps_b_NHWC) == len(heads_C) > 0:
        counts = len(maps_a_NHWC), len(maps_b_NHWC), len(heads_C)
        raise UserError(f"lpips of {counts} layers: expected as many feature maps of both sides as heads")
    total_N = 0.0
    for a_NHWC, b_NHWC, head_C in zip(maps_a_NHWC, maps_b_NHWC, heads_C, strict=True):
        if a_NHWC.shape != b_NHWC.shape or head_C.shape != a_NHWC.shape[-1:]:
            raise UserError(f"lpips of maps {a_NHWC.shape}, {b_NHWC.shape} and a head {head_C.shape}: must fit")
        difference_NHWC = _unit(a_NHWC) - _unit(b_NHWC)
        head_C = head_C.astype(jnp.float32)
        total_N += jnp.einsum("nhwc,c->nhw", difference_NHWC**2, head_C).mean(axis=(1, 2))
    return total_N


def _unit(x_NHWC: Array) -> Array:
    x_NHWC = x_NHWC.astype(jnp.float32)
    return x_NHWC / (jnp.sqrt(jnp.sum(x_NHWC**2, axis=-1, keepdims=True)) + _EPSILON)
