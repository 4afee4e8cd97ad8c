"""Examples of a batch that are laid out together: their tasks, drawn one by one, and their rows (thesis 8.3.4)."""

import dataclasses
import functools
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.tokens.videopoet.columns import compact
from magvit_jax.tokens.videopoet.layout import Layout
from magvit_jax.tokens.videopoet.packing import merge_rows
from magvit_jax.tokens.videopoet.plan import Plan
from magvit_jax.tokens.videopoet.sequences import Sequences, build
from magvit_jax.typing import Array


@dataclasses.dataclass(frozen=True)
class Bucket:
    """Layouts that share one shape of rows.

    Attributes:
        plan: the layouts, M of them.
        weights: of each, how often it is drawn: 0 or more.
        per_row: R, sequences a row.
    """

    plan: Plan
    weights: tuple[float, ...]
    per_row: int

    def __post_init__(self):
        if len(self.weights) != len(self.plan.layouts) or self.per_row < 1:
            raise UserError(
                f"bucket: {len(self.weights)} weights for {len(self.plan.layouts)} layouts, {self.per_row} a row; "
                "expected one each, and 1 or more a row"
            )
        if not all(0 <= weight < float("inf") for weight in self.weights) or not sum(self.weights) > 0:
            raise UserError(f"bucket: weights {list(self.weights)}; expected 0 or more, one above 0")

    @property
    def row_length(self) -> int:
        """Columns of a row: as many as the longest sequences use."""
        return self.per_row * max(layout.length for layout in self.plan.layouts)

    @property
    def row_outputs(self) -> int:
        """How many ids of a row are generated, at most."""
        return self.per_row * self.plan.output_length

    @property
    def row_text(self) -> int:
        """Text slots of a row."""
        return self.per_row * self.plan.text_slots

    @functools.cached_property
    def sounding_M(self) -> np.ndarray:
        """bool: the layouts that read or make sound."""
        return np.asarray([_sounding(layout) for layout in self.plan.layouts])

    def draw(self, uniform_B: Array, has_audio_B: Array | None, weights_M: Array | None = None) -> Array:
        """A layout for each example, int32 [B]; one of sound only for examples that have it.

        Args:
            uniform_B: float32 in [0, 1), an example's own number.
            has_audio_B: bool; None where all have sound, or where no layout asks for it.
            weights_M: float32 in place of `weights`.
        """
        weights_M = jnp.asarray(self.weights, jnp.float32) if weights_M is None else weights_M
        weight_BM = jnp.broadcast_to(weights_M[None], (uniform_B.shape[0], weights_M.shape[0]))
        if has_audio_B is not None:
            weight_BM = jnp.where(has_audio_B[:, None] | ~jnp.asarray(self.sounding_M)[None], weight_BM, 0.0)
        upper_BM = jnp.cumsum(weight_BM, axis=1)
        passed_BM = (uniform_B[:, None] * upper_BM[:, -1:]) >= upper_BM
        return jnp.minimum(jnp.sum(passed_BM, axis=1, dtype=jnp.int32), len(self.weights) - 1)

    def rows(
        self,
        index_B: Array,
        codes: Mapping[str, Array],
        *,
        text_count_B: Array | None,
        text_BT: Array | None,
        source_B: Array | None = None,
    ) -> Sequences:
        """Rows of `row_length` columns of B sequences, B a multiple of `per_row`; arguments as of `build`.

        Their text embeddings are those of the sequences one after the other, [B / R, `row_text`, E].
        """
        sequences = build(
            self.plan, index_B, codes, text_count_B=text_count_B, text_BT=text_BT, source_B=source_B
        )
        if self.per_row > 1:
            sequences = merge_rows(
                sequences,
                self.per_row,
                prefix_length=self.plan.prefix_length,
                text_slots=self.plan.text_slots,
            )
        return compact(sequences, self.row_length)


def _sounding(layout: Layout) -> bool:
    return any(part.kind == "audio" for part in (*layout.task.inputs, *layout.task.outputs))
