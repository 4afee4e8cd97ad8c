"""What a query may see: a few numbers and short arrays in place of an [L, S] table of bits."""

import flax.struct
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.typing import Array

KINDS = ("full", "causal", "prefix")


def sees(kind: str, query: Array, key: Array, prefix: Array | None, length: Array | None) -> Array:
    """bool: whether the query at position `query` sees the key at `key`, segments apart.

    All are int32, of shapes that broadcast; the result broadcasts to what they give together.

    Where a key is seen, so is every earlier one of the same segment, and every later query sees it too. So a
    block of keys is needed by a block of queries if its first key is seen by their last, and needs no mask if
    its last key is seen by their first.
    """
    seen = key >= 0 if kind == "full" else key <= query
    if kind == "prefix":
        seen = seen | (key < prefix)
    return seen if length is None else seen & (key < length)


@flax.struct.dataclass
class Mask:
    """Which keys a query sees. A pytree: `kind` is static, the arrays may change from call to call without a
    retrace.

    A query sees a key where all of these hold; `visible` is the definition. A query that sees no key gets the
    output 0, and neither gives nor gets a gradient, in every implementation.

    Attributes:
        kind: "full"; "causal": key <= query; "prefix": key <= query or key < prefix (a prefix LM). Positions
            count from 0; the i-th query stands at `query_offset` + i, the j-th key at j.
        prefix_B: int32 [B], the length of the prefix of each example, of kind "prefix" only.
        lengths_B: int32 [B]; keys at or beyond it are padding. None for no padding.
        q_segment_BL, k_segment_BS: int32 [B, L] and [B, S], both or neither: only equal ids see each other.
        query_offset: int32 [] or [B], 0 or more, the position of the first query: for a cache, or a shard of
            the sequence. None is 0.
    """

    kind: str = flax.struct.field(pytree_node=False, default="full")
    prefix_B: Array | None = None
    lengths_B: Array | None = None
    q_segment_BL: Array | None = None
    k_segment_BS: Array | None = None
    query_offset: Array | None = None

    @classmethod
    def full(cls, **arrays: Array | None) -> "Mask":
        """Every query sees every key."""
        return cls("full", **arrays)

    @classmethod
    def causal(cls, **arrays: Array | None) -> "Mask":
        """A query sees its own position and those before it."""
        return cls("causal", **arrays)

    @classmethod
    def prefix_lm(cls, prefix_B: Array, **arrays: Array | None) -> "Mask":
        """As causal, and everybody sees the first `prefix_B` positions of the example."""
        return cls("prefix", prefix_B=prefix_B, **arrays)

    def visible(self, queries: int, keys: int, first_key: Array | int = 0) -> Array:
        """bool [B, L, S] for L queries and S keys; [1, L, S] where nothing differs between the examples.

        The keys are those from `first_key` on; `k_segment_BS` has to be theirs.
        """
        key_11S = (first_key + jnp.arange(keys, dtype=jnp.int32))[None, None]
        query_BL1 = (self._offset_B()[:, None] + jnp.arange(queries, dtype=jnp.int32)[None])[:, :, None]
        per_example = (None if x_B is None else x_B[:, None, None] for x_B in (self.prefix_B, self.lengths_B))
        seen_BLS = sees(self.kind, query_BL1, key_11S, *per_example)
        seen_BLS = jnp.broadcast_to(seen_BLS, (seen_BLS.shape[0], queries, keys))
        if self.q_segment_BL is not None:
            seen_BLS = seen_BLS & (self.q_segment_BL[:, :, None] == self.k_segment_BS[:, None])
        return seen_BLS

    def hides_nothing(self) -> bool:
        """Whether every query is known to see every key when the program is traced."""
        return self.kind == "full" and self.lengths_B is None and self.q_segment_BL is None

    def may_blind(self) -> bool:
        """Whether a query may see no key, as far as is known when the program is traced."""
        return self.lengths_B is not None or self.q_segment_BL is not None

    def shifted(self, positions: Array | int) -> "Mask":
        """The mask of queries that stand `positions` further on, such as those of a shard of the sequence."""
        offset = jnp.zeros((), jnp.int32) if self.query_offset is None else self.query_offset
        return self.replace(query_offset=offset + positions)

    def check(self, batch: int, queries: int, keys: int) -> None:
        """UserError, one line, for an unknown kind or arrays that do not fit B, L and S."""
        if self.kind not in KINDS:
            raise UserError(f"attention mask kind {self.kind!r}: expected one of {', '.join(KINDS)}")
        if (self.kind == "prefix") != (self.prefix_B is not None):
            raise UserError(f"attention mask of kind {self.kind!r}: prefix_B belongs to kind 'prefix' alone")
        if (self.q_segment_BL is None) != (self.k_segment_BS is None):
            raise UserError("attention mask: expected both of q_segment_BL and k_segment_BS, or neither")
        expected = {
            "prefix_B": ((batch,),),
            "lengths_B": ((batch,),),
            "q_segment_BL": ((batch, queries),),
            "k_segment_BS": ((batch, keys),),
            "query_offset": ((), (batch,)),
        }
        for name, shapes in expected.items():
            array = getattr(self, name)
            if array is None:
                continue
            dtype = getattr(array, "dtype", type(array).__name__)
            if jnp.shape(array) not in shapes or dtype != jnp.int32:
                wanted = " or ".join(map(str, shapes))
                raise UserError(
                    f"attention mask: {name} is {dtype} {jnp.shape(array)}, expected int32 {wanted} for a batch"
                    f" of {batch}, {queries} queries and {keys} keys"
                )

    def _offset_B(self) -> Array:
        """int32 [B] or [1]."""
        if self.query_offset is None:
            return jnp.zeros((1,), jnp.int32)
        return self.query_offset.reshape(-1)
