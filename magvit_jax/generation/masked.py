"""Tokens of a clip from a masked transformer: prefix, condition region and parallel decoding put together."""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp

from magvit_jax.sampling import parallel
from magvit_jax.tokens.tasks import LatentGrid, Task
from magvit_jax.tokens.vocabulary import Vocabulary
from magvit_jax.transformer.masked import MaskedTransformer
from magvit_jax.typing import Array, PRNGKey, PyTree


@dataclasses.dataclass(frozen=True)
class Decoding:
    """Settings of `sampling.parallel.decode`, which documents them."""

    steps: int
    schedule: str
    temperature: float
    sampling_temperature: float
    guidance_scale: float | Sequence[float]


def generate_ids(
    transformer: MaskedTransformer,
    params: PyTree,
    vocabulary: Vocabulary,
    grid: LatentGrid,
    task: Task,
    decoding: Decoding,
    condition_BN: Array,
    label_B: Array,
    keys_B: PRNGKey,
) -> Array:
    """Decodes the tokens of a batch of clips, all of one task (Algorithm 1).

    Args:
      condition_BN: ids of the padded clips; read inside the task's region only.
      label_B: class labels; negative where there is none. Tasks without a class ignore them.
      keys_B: one key a clip.

    Returns:
      int32 ids [B, N].
    """
    batch = condition_BN.shape[0]
    prompt_B = jnp.full((batch,), vocabulary.tasks.index(task.name), jnp.int32)
    label_B = label_B if task.uses_class else jnp.full((batch,), -1, jnp.int32)
    region_N = jnp.asarray(task.region(grid)).reshape(-1)
    exact = task.given_frames > 0 and task.exact(grid)

    def logits(ids_BN: Array, unconditional_B: Array) -> Array:
        copies = ids_BN.shape[0] // batch
        label = jnp.where(unconditional_B, -1, jnp.tile(label_B, copies))
        prefix = vocabulary.prefix(jnp.tile(prompt_B, copies), label)
        return transformer.apply({"params": params}, jnp.concatenate([prefix, ids_BN], axis=1))

    return parallel.decode(
        logits,
        condition_BN,
        jnp.broadcast_to(region_N, condition_BN.shape),
        mask_id=vocabulary.mask_id,
        keys_B=keys_B,
        steps=decoding.steps,
        schedule=decoding.schedule,
        temperature=decoding.temperature,
        sampling_temperature=decoding.sampling_temperature,
        guidance_scale=decoding.guidance_scale if task.uses_class else 0.0,
        keep_condition=exact,
    )
