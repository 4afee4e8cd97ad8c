"""Tokens of a clip from the autoregressive baseline: condition tokens in front, then all N tokens one by one."""

import dataclasses

import jax
import jax.numpy as jnp

from magvit_jax.generation.masked import Conditions
from magvit_jax.sampling import autoregressive
from magvit_jax.tokens.prefix import Condition, pack
from magvit_jax.tokens.vocabulary import Vocabulary
from magvit_jax.transformer.autoregressive import AutoregressiveTransformer
from magvit_jax.typing import Array, PRNGKey, PyTree


@dataclasses.dataclass(frozen=True)
class TokenwiseDecoding:
    """Settings of `sampling.autoregressive.decode`, which documents them.

    Attributes:
        temperature: 0 takes the arg max.
        top_k: 0 draws among all.
        top_p: 1 draws among all.
        guidance_scale: of tasks that use the class.
        cached: with the keys and values of past tokens kept; without, every token costs a pass over the whole
            sequence, for the same ids up to rounding.
    """

    temperature: float
    top_k: int
    top_p: float
    guidance_scale: float
    cached: bool

    @property
    def guided(self) -> bool:
        """Whether a token needs the unconditional branch."""
        return self.guidance_scale != 0

    def unguided(self) -> "TokenwiseDecoding":
        """The same for a condition without a class, where both branches would see the same."""
        return dataclasses.replace(self, guidance_scale=0.0)

    def decode(
        self,
        prefill: autoregressive.PrefillFn,
        step: autoregressive.StepFn,
        logits: autoregressive.LogitsFn,
        num_tokens: int,
        keys_B: PRNGKey,
        **places: Array,
    ) -> Array:
        """int32 ids [B, N] of `sampling.autoregressive.decode` with these settings.

        Args:
            prefill, step: with a cache; logits: of the whole sequence, without.
            places: what is known or allowed place by place: given_BN, is_given_BN, allowed_BN2.
        """
        if not self.cached:
            prefill, step = autoregressive.recompute(logits, num_tokens)
        return autoregressive.decode(
            prefill,
            step,
            num_tokens=num_tokens,
            keys_B=keys_B,
            temperature=self.temperature,
            top_k=self.top_k or None,
            top_p=self.top_p,
            guidance_scale=self.guidance_scale,
            **places,
        )


def generate_ids(
    transformer: AutoregressiveTransformer,
    params: PyTree,
    vocabulary: Vocabulary,
    decoding: TokenwiseDecoding,
    conditions: Conditions,
) -> Array:
    """Decodes the tokens of a batch of clips.

    Args:
        conditions: regions of at most `transformer.condition_length` tokens each. Where `keep_B`, the condition tokens
            are returned as they are, and what comes after them in the sequence is drawn after them.

    Returns:
        int32 ids [B, N].
    """
    batch, num_tokens = conditions.condition_BN.shape
    slots = transformer.condition_length
    condition = pack(conditions.condition_BN, conditions.region_BN, slots) if slots else None

    def front(unconditional: Array) -> tuple[Array, Condition | None]:
        """[task][class], and what stands before them, of every branch."""
        copies = unconditional.shape[0] // batch
        label = jnp.where(unconditional, -1, jnp.tile(conditions.label_B, copies))
        prefix = vocabulary.prefix(jnp.tile(conditions.prompt_B, copies), label)
        return prefix, jax.tree.map(lambda x_BM: jnp.tile(x_BM, (copies, 1)), condition)

    def prefill(unconditional: Array) -> tuple[Array, PyTree]:
        prefix, seen = front(unconditional)
        return transformer.apply({"params": params}, prefix, num_tokens, seen, method="prefill")

    def step(ids: Array, cache: PyTree, index: Array) -> tuple[Array, PyTree]:
        return transformer.apply({"params": params}, ids, cache, method="step")

    def logits(ids: Array, unconditional: Array) -> Array:
        prefix, seen = front(unconditional)
        sequence = jnp.concatenate([prefix, ids[:, :-1]], axis=1)
        return transformer.apply({"params": params}, sequence, condition=seen)

    return decoding.decode(
        prefill,
        step,
        logits,
        num_tokens,
        conditions.keys_B,
        given_BN=conditions.condition_BN,
        is_given_BN=conditions.region_BN & conditions.keep_B[:, None],
    )
