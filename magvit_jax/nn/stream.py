"""A video in chunks: how causal layers remember what came before.

A caller that makes the variable collection "stream" mutable in `apply` runs the layers on one chunk of a longer video.
The first chunk starts without that collection; the layers fill it, and it is handed to the call for the next chunk:

    out, variables = model.apply({"params": params}, first, mutable=[STREAM])
    out, variables = model.apply({"params": params, STREAM: variables[STREAM]}, second, mutable=[STREAM])

A layer whose first frames are special asks `continues`. The first chunk of a model that steps s frames a token holds
1 + s t frames, later ones s t, so that chunks end where tokens end. Nothing of this runs in any other call.
"""

import flax.linen as nn
import jax.numpy as jnp

STREAM = "stream"


def streaming(module: nn.Module) -> bool:
    """Whether this call is for a chunk of a longer video."""
    return module.is_mutable_collection(STREAM) and not module.is_initializing()


def continues(module: nn.Module) -> bool:
    """Whether this call's frames go on from an earlier chunk; to be asked once a call.

    False for a whole video and for the first chunk of a stream, whose mark it leaves for the next.
    """
    if not streaming(module):
        return False
    later = module.has_variable(STREAM, "later")
    module.put_variable(STREAM, "later", jnp.ones((), jnp.bool_))
    return later
