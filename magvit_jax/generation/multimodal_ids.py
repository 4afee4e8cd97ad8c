"""Ids of any modality from a prefix LM over the unified vocabulary: prefixes first, then one id after the other."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from magvit_jax.generation.autoregressive import TokenwiseDecoding
from magvit_jax.tokens.videopoet import Plan, Sequences, build_prefix, next_ranges
from magvit_jax.transformer.multimodal import MultimodalTransformer
from magvit_jax.typing import Array, PRNGKey, PyTree


class Prefixes(NamedTuple):
    """What each of B sequences begins with.

    Attributes:
        index_B: int32, its layout in the plan.
        codes: a source -> its codes, as of `build_prefix`.
        text_count_B: int32, used text slots, 0 without text.
        text_BT: int32 ids of the text's own vocabulary; None where text is known by its embeddings.
        text_BTE: float32 embeddings of the text; None where it is known by its ids.
        source_B: int32 positions in `vocabulary.sources`, -1 for an unknown one.
        keys_B: a key for each.
    """

    index_B: Array
    codes: dict[str, Array]
    text_count_B: Array
    text_BT: Array | None
    text_BTE: Array | None
    source_B: Array
    keys_B: PRNGKey


def generate_ids(
    transformer: MultimodalTransformer,
    params: PyTree,
    plan: Plan,
    decoding: TokenwiseDecoding,
    prefixes: Prefixes,
) -> Array:
    """The outputs of a batch, each of its own layout, text and length: ids that may come, and no others.

    Guidance is by the text: the unconditional branch is the same sequence without its text and the text's brackets
    (classifier-free guidance, 8.3.4).

    Returns:
        int32 ids of the unified vocabulary [B, O], O the longest output's length; <pad> behind a shorter one.
    """
    tokens = plan.output_length
    everywhere = prefixes._replace(keys_B=None)

    def begin(unconditional_B: Array) -> tuple[Sequences, Array | None]:
        """The prefixes of every branch, and their text embeddings."""
        copies = unconditional_B.shape[0] // prefixes.index_B.shape[0]
        both = jax.tree.map(lambda x: jnp.tile(x, (copies,) + (1,) * (x.ndim - 1)), everywhere)
        sequences = build_prefix(
            plan,
            both.index_B,
            both.codes,
            text_count_B=jnp.where(unconditional_B, 0, both.text_count_B),
            text_BT=both.text_BT,
            source_B=both.source_B,
        )
        return sequences, both.text_BTE

    def prefill(unconditional_B: Array) -> tuple[Array, PyTree]:
        return transformer.apply({"params": params}, *begin(unconditional_B), tokens, method="prefill")

    def step(ids_B: Array, cache: PyTree, index: Array) -> tuple[Array, PyTree]:
        return transformer.apply({"params": params}, ids_B, cache, method="step")

    def logits(ids_BO: Array, unconditional_B: Array) -> Array:
        sequences, text_BTE = begin(unconditional_B)
        first = sequences.ids_BL.shape[1] - 1
        logits_BLV = transformer.apply({"params": params}, with_outputs(sequences, ids_BO[:, :-1]), text_BTE)
        return logits_BLV[:, first:, None]

    allowed_BO2 = next_ranges(plan, prefixes.index_B)
    return decoding.decode(prefill, step, logits, tokens, prefixes.keys_B, allowed_BN2=allowed_BO2)


def with_outputs(prefix: Sequences, ids_BO: Array) -> Sequences:
    """Prefixes of `build_prefix` with ids behind them, which stand at the positions that follow."""
    new_BO = jnp.arange(1, 1 + ids_BO.shape[1], dtype=jnp.int32)[None]
    behind = dict(
        ids_BL=ids_BO.astype(jnp.int32),
        position_BL=prefix.position_BL[:, -1:] + new_BO,
        segment_BL=jnp.ones_like(ids_BO, jnp.int32),
        target_BL=jnp.zeros_like(ids_BO, jnp.int32),
        is_target_BL=jnp.zeros_like(ids_BO, bool),
        allowed_BL2=jnp.zeros((*ids_BO.shape, 2), jnp.int32),
        text_slot_BL=jnp.full_like(ids_BO, -1, jnp.int32),
    )
    joined = {name: jnp.concatenate([getattr(prefix, name), value], axis=1) for name, value in behind.items()}
    return prefix._replace(**joined)
