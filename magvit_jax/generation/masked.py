"""Tokens of a clip from a masked transformer: prefix, condition region and parallel decoding put together."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from magvit_jax.generation.settings import Decoding
from magvit_jax.sampling import parallel
from magvit_jax.tokens.prefix import pack
from magvit_jax.tokens.vocabulary import Vocabulary
from magvit_jax.transformer.masked import MaskedTransformer
from magvit_jax.typing import Array, PRNGKey, PyTree

__all__ = ["Conditions", "Decoding", "generate_ids"]


class Conditions(NamedTuple):
    """What a batch of clips is generated from, all of it known at run time only: any mix of tasks and of
    masks runs in one compiled program.

    Attributes:
      prompt_B: int32, position of each clip's task in `Vocabulary.tasks`.
      label_B: int32 class labels; negative where there is none.
      condition_BN: int32 ids of the padded clips; read inside the region only.
      region_BN: bool, the condition region.
      keep_B: bool, whether the clip's condition tokens are returned as they are, and known from the start:
        they are exact, or the model was trained by latent masking. COMMIT refines them otherwise.
      keys_B: one key a clip.
    """

    prompt_B: Array
    label_B: Array
    condition_BN: Array
    region_BN: Array
    keep_B: Array
    keys_B: PRNGKey


def generate_ids(
    transformer: MaskedTransformer,
    params: PyTree,
    vocabulary: Vocabulary,
    decoding: Decoding,
    conditions: Conditions,
    return_states: bool = False,
) -> Array | tuple[Array, parallel.States]:
    """Decodes the tokens of a batch of clips (Algorithm 1).

    Args:
      decoding: `Decoding.unguided` of it, where no clip has a class, halves the work and changes nothing.
      return_states: also return every step's `States`.

    Returns:
      int32 ids [B, N], or (ids, states).
    """
    batch, slots = conditions.condition_BN.shape[0], transformer.condition_length
    region_BN, before = conditions.region_BN, None
    if slots:  # the condition stands before the sequence; inside it are only the tokens that are kept
        before = pack(conditions.condition_BN, region_BN, slots)
        region_BN = region_BN & conditions.keep_B[:, None]

    def logits(ids_BN: Array, unconditional_B: Array) -> Array:
        copies = ids_BN.shape[0] // batch
        label_B = jnp.where(unconditional_B, -1, jnp.tile(conditions.label_B, copies))
        prefix_B2 = vocabulary.prefix(jnp.tile(conditions.prompt_B, copies), label_B)
        condition = jax.tree.map(lambda x_BM: jnp.tile(x_BM, (copies, 1)), before)
        ids_BL = jnp.concatenate([prefix_B2, ids_BN], axis=1)
        return transformer.apply({"params": params}, ids_BL, condition=condition)

    return parallel.decode(
        logits,
        conditions.condition_BN,
        region_BN,
        mask_id=vocabulary.mask_id,
        keys_B=conditions.keys_B,
        steps=decoding.steps,
        schedule=decoding.schedule,
        temperature=decoding.temperature,
        sampling_temperature=decoding.sampling_temperature,
        top_k=decoding.top_k,
        guidance_scale=decoding.guidance_table(),
        keep_condition=conditions.keep_B,
        confidence=decoding.confidence,
        return_states=return_states,
    )
