"""Fast exact operations. One folder an op: `api.py` checks and picks, `reference.py` says what is true."""

from magvit_jax.ops.attention.api import attention
from magvit_jax.ops.causal_conv3d.api import causal_conv3d
from magvit_jax.ops.conv3d.api import conv3d
from magvit_jax.ops.lfq_entropy.api import lfq_entropy

__all__ = ["attention", "causal_conv3d", "conv3d", "lfq_entropy"]
