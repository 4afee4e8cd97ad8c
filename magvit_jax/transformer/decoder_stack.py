"""The layers of a decoder-only transformer, one after the other or as one that is scanned over."""

from typing import Any

import flax.linen as nn
import jax

from magvit_jax.errors import UserError
from magvit_jax.nn.attention import KeyValues, Mask
from magvit_jax.nn.decoder import DecoderLayer
from magvit_jax.nn.remat import rematerialised
from magvit_jax.typing import Array, Dtype

Caches = tuple[KeyValues, ...] | KeyValues


def decoder_layers(
    *,
    layers: int,
    heads: int,
    kv_heads: int,
    head_width: int,
    mlp_dim: int,
    dtype: Dtype,
    scan_layers: bool,
    remat: str,
) -> nn.Module | list[nn.Module]:
    """What a model's `setup` keeps as its layers; arguments as of `PrefixLanguageModel`.

    Raises:
        UserError: heads that are no multiple of `kv_heads`, an odd head width, an unknown `remat`.
    """
    if heads % kv_heads or head_width % 2:
        raise UserError(
            f"prefix LM: {heads} heads on {kv_heads} kv_heads of head_width {head_width}: expected a multiple, and an "
            "even width"
        )
    fields: dict[str, Any] = dict(
        heads=heads, kv_heads=kv_heads, head_width=head_width, mlp_dim=mlp_dim, depth=layers, dtype=dtype
    )
    layer = rematerialised(DecoderLayer, remat, scanned=scan_layers)
    if not scan_layers:
        return [layer(**fields) for _ in range(layers)]
    return nn.scan(
        layer,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=(nn.broadcast, nn.broadcast, 0, nn.broadcast),
        length=layers,
        metadata_params={nn.PARTITION_NAME: "layers"},
    )(**fields)


def apply_layers(
    stack, x_BLD: Array, position_BL: Array, mask: Mask, caches: Caches | None, start: jax.Array | None
) -> tuple[Array, Caches | None]:
    """[B, L, D] -> [B, L, D] by all layers, and their caches: a tuple, or one stacked along its first axis.

    Args:
        stack: what `decoder_layers` gave.
        position_BL, mask, start: as of `DecoderLayer`.
        caches: of all layers; None where there are none.
    """
    if isinstance(stack, nn.Module):
        return stack(x_BLD, position_BL, mask, caches, start)
    written = []
    for index, layer in enumerate(stack):
        x_BLD, cache = layer(x_BLD, position_BL, mask, None if caches is None else caches[index], start)
        written.append(cache)
    return x_BLD, None if caches is None else tuple(written)
