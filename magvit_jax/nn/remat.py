"""What a transformer layer keeps of its forward pass for the backward pass, and what it computes again.

Convolutional networks have a policy of their own, without a name: `remat=True` recomputes whole residual blocks. The
policies here would not do there: "dots" counts a convolution as no product, and would keep nothing of it.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from magvit_jax.errors import UserError

#: By name, what is kept besides the layer's input.
POLICIES: dict[str, Callable[..., Any] | None] = {
    "none": None,
    # The outputs of products with weights: most of the arithmetic, and none of the scores of attention.
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "full": jax.checkpoint_policies.nothing_saveable,
}


def rematerialised(
    layer: type[nn.Module], policy: str, *, scanned: bool, static_argnums: tuple[int, ...] = ()
) -> type[nn.Module]:
    """`layer`, keeping only what the policy says.

    Args:
        policy: "none" (keeps everything), "dots" (keeps products with weights) or "full" (keeps nothing).
        scanned: whether the layer stands inside a scan; outside of one XLA has to be kept from undoing it.
        static_argnums: of the layer's `__call__`, whose argument 0 is the module.

    Raises:
        UserError: an unknown policy.
    """
    if policy not in POLICIES:
        raise UserError(f"model.remat: {policy!r}; expected one of {', '.join(POLICIES)}")
    if policy == "none":
        return layer
    return nn.remat(layer, static_argnums=static_argnums, policy=POLICIES[policy], prevent_cse=not scanned)
