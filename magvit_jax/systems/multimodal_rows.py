"""Batches of pixels, sound and text as rows of tokens: what VideoPoet's step does before its network."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.nn.token_parts import TokenParts
from magvit_jax.partitioning import constrain
from magvit_jax.systems.pixels import to_float
from magvit_jax.tokenizer.sound_tokenizer import SoundTokenizer
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.tokens.mixture import TaskMixture
from magvit_jax.tokens.videopoet import Sequences, commit, stack_rows
from magvit_jax.tokens.videopoet.bucket import Bucket
from magvit_jax.typing import Array, Batch, PRNGKey, PyTree

SOURCE_DRAW = 2  # of an example's key: whether its source is dropped
TEXT_KEYS = {"words": ("text_ids", "text_count"), "t5": ("text_embedding", "text_count"), "none": ()}


class Drawn(NamedTuple):
    """What was drawn for the B examples of a bucket, and their codes.

    Attributes:
        index_B: int32, each example's layout.
        codes: what the plan needs, as of `tokens.videopoet.build`.
        text_count_B: int32, used text slots, 0 where the text was dropped; None for a model without text.
        text_BT: int32 ids of the text's own vocabulary; None where text is known by its embeddings.
        text_BTE: float32 embeddings of the text; None where it is known by its ids.
        source_B: int32, positions in the vocabulary's sources, -1 where the source was dropped; None without sources.
    """

    index_B: Array
    codes: dict[str, Array]
    text_count_B: Array | None
    text_BT: Array | None
    text_BTE: Array | None
    source_B: Array | None = None


class Frozen(NamedTuple):
    """Parameters that are not trained: of the tokenizer, and of the sound tokenizer, {} where there is none."""

    tokenizer: PyTree
    sound: PyTree


@dataclasses.dataclass(frozen=True)
class RowMaker:
    """Draws tasks and makes rows.

    Attributes:
        tokenizer, sound: make the codes; `sound` is None for a model without.
        buckets, shares: of a batch of videos: bucket i takes the next shares[i] / sum(shares) of the examples.
        images: the bucket of a batch of images; None where there are no such batches.
        painting, painting_names: what painting tasks leave of a clip, and the tasks; None without.
        text: "words", "t5" or "none".
        text_dropout: share of the examples whose text is hidden, for guidance.
        sources: how many sources the vocabulary names: that of the videos, and that of the images.
        source_dropout: share of the examples whose source is hidden, so that none need be named in generation.
        example_key: randomness of an example is this key and its index.
    """

    tokenizer: Tokenizer
    sound: SoundTokenizer | None
    buckets: tuple[Bucket, ...]
    shares: tuple[int, ...]
    images: Bucket | None
    painting: TaskMixture | None
    painting_names: tuple[str, ...]
    text: str
    text_dropout: float
    sources: int
    source_dropout: float
    example_key: PRNGKey

    def __post_init__(self):
        for name in ("text_dropout", "source_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"conditions.{name} is {getattr(self, name)}; expected a share in [0, 1]")

    @property
    def video_keys(self) -> tuple[str, ...]:
        """What a batch of videos has to have."""
        needs = {source for bucket in self.buckets for source in bucket.plan.needs}
        sounding = ("audio", "has_audio") if "audio" in needs else ()
        beside = tuple(name for name in ("flow", "depth") if name in needs)
        return ("video", *sounding, *beside, *TEXT_KEYS[self.text], "index")

    @property
    def image_keys(self) -> tuple[str, ...]:
        """What a batch of images has to have; nothing where there are no such batches."""
        return () if self.images is None else ("image", *TEXT_KEYS[self.text], "index")

    @property
    def row_outputs(self) -> int:
        """Generated ids of a row of videos, at most."""
        return max(bucket.row_outputs for bucket in self.buckets)

    @property
    def fewest_examples(self) -> int:
        """The smallest batch of videos: every larger one is a multiple."""
        total, size = sum(self.shares), sum(self.shares)
        if len(self.buckets) == 1:
            return self.buckets[0].per_row
        pairs = tuple(zip(self.buckets, self.shares, strict=True))
        while any(size * share // total % bucket.per_row for bucket, share in pairs):
            size += total
        return size

    def rows(self, frozen: Frozen, batch: Batch) -> tuple[Sequences, Array | None, int]:
        """Rows of a batch, their text embeddings, and how many ids of a row are generated at most."""
        if "image" in batch:
            if self.images is None:
                raise UserError("batch of images; expected videos, as config.data.images has no source")
            return *self._bucket_rows(frozen, batch, self.images), self.images.row_outputs
        groups = [
            self._bucket_rows(frozen, part, bucket)
            for part, bucket in zip(self._parts(batch), self.buckets, strict=True)
        ]
        rows, texts = zip(*groups, strict=True)
        if len(groups) == 1:
            return rows[0], texts[0], self.row_outputs
        text_BTE = None if texts[0] is None else _stack_text(texts)
        return _spread(stack_rows(*rows)), _spread(text_BTE), self.row_outputs

    def draw(
        self, frozen: Frozen, batch: Batch, bucket: Bucket, weights_M: Array | None = None, *, drops: bool = True
    ) -> Drawn:
        """Tasks, dropped texts and codes of a bucket's examples.

        Args:
            weights_M: as of `Bucket.draw`.
            drops: whether texts and sources are dropped; not when something is measured.
        """
        keys_B = jax.vmap(lambda index: jax.random.fold_in(self.example_key, index))(batch["index"])
        task_key, drop_key = jnp.unstack(jax.vmap(jax.random.split)(keys_B), axis=1)
        uniform_B = jax.vmap(jax.random.uniform)(task_key)
        index_B = bucket.draw(uniform_B, batch.get("has_audio"), weights_M)
        count_B = batch.get("text_count")
        if count_B is not None:
            count_B = jnp.asarray(count_B, jnp.int32)
        if drops and count_B is not None:
            dropped_B = jax.vmap(jax.random.uniform)(drop_key) < self.text_dropout
            count_B = jnp.where(dropped_B, 0, count_B)
        codes = self._codes(frozen, batch, bucket, index_B)
        source_B = self._sources(keys_B, "image" in batch, drops)
        return Drawn(index_B, codes, count_B, batch.get("text_ids"), batch.get("text_embedding"), source_B)

    def _bucket_rows(self, frozen: Frozen, batch: Batch, bucket: Bucket) -> tuple[Sequences, Array | None]:
        _require_rows(batch["index"].shape[0], bucket)
        drawn = self.draw(frozen, batch, bucket)
        rows = bucket.rows(
            drawn.index_B,
            drawn.codes,
            text_count_B=drawn.text_count_B,
            text_BT=drawn.text_BT,
            source_B=drawn.source_B,
        )
        text_BTE = drawn.text_BTE
        if text_BTE is not None:
            text_BTE = text_BTE.reshape(-1, bucket.row_text, text_BTE.shape[-1])
        return _spread(rows), _spread(text_BTE)

    def _sources(self, keys_B: PRNGKey, images: bool, drops: bool) -> Array | None:
        if not self.sources:
            return None
        source_B = jnp.full(keys_B.shape, int(images), jnp.int32)
        if not drops:
            return source_B
        uniform_B = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, SOURCE_DRAW)))(keys_B)
        return jnp.where(uniform_B < self.source_dropout, -1, source_B)

    def _parts(self, batch: Batch) -> list[Batch]:
        """The examples of each bucket: one after the other, so that microbatches divide every bucket alike."""
        size, total, start, parts = batch["index"].shape[0], sum(self.shares), 0, []
        if len(self.buckets) == 1:
            return [batch]
        if size % total:
            raise UserError(f"batch of {size} examples in buckets of {total} shares; expected a multiple")
        for share in self.shares:
            examples = size * share // total
            parts.append({name: _spread(x[start : start + examples]) for name, x in batch.items()})
            start += examples
        return parts

    def _codes(self, frozen: Frozen, batch: Batch, bucket: Bucket, index_B: Array) -> dict[str, Array]:
        codes = {}
        for source in bucket.plan.needs:
            if source == "audio":
                codes[source] = self.sound.encode_to_ids(frozen.sound, batch["audio"])
            elif source == "masked":
                codes[source] = self._masked(frozen, batch["video"], bucket, index_B)
            else:
                name = "image" if source == "video" and "image" in batch else source
                codes[source] = self.visual(frozen, to_float(batch[name]))
        return jax.tree.map(jax.lax.stop_gradient, codes)

    def visual(self, frozen: Frozen, video_BTHWC: Array) -> Array:
        """Codes [B, t, h, w] of videos in [0, 1]."""
        model = self.tokenizer.model
        return model.apply({"params": frozen.tokenizer}, video_BTHWC, method="encode_to_ids")

    def _masked(self, frozen: Frozen, video_BTHWC: Array, bucket: Bucket, index_B: Array) -> Array:
        """COMMIT codes of the clips as their painting task shows them; of use for these tasks alone."""
        names = [layout.task.name for layout in bucket.plan.layouts]
        painting_M = [self.painting_names.index(name) if name in self.painting_names else 0 for name in names]
        painting_B = jnp.asarray(np.asarray(painting_M, np.int32))[index_B]
        padded_BTHWC = self.painting.pad(to_float(video_BTHWC), painting_B)
        return commit(self.visual(frozen, padded_BTHWC), self.painting.region(painting_B))


def _require_rows(examples: int, bucket: Bucket) -> None:
    """UserError unless the examples fill rows, and the rows divide among the devices: they would all be on each."""
    if examples % bucket.per_row:
        raise UserError(f"{examples} examples of a bucket in rows of {bucket.per_row}; expected a multiple")
    rows, devices = examples // bucket.per_row, TokenParts.of(0, 0).batch_parts
    if rows % devices:
        names = ", ".join(dict.fromkeys(layout.task.name for layout in bucket.plan.layouts))
        raise UserError(
            f"a bucket of {rows} rows ({names}) does not divide by data x fsdp = {devices}; expected another "
            "data.batch_size, fewer microbatches, or more of mesh.tensor"
        )


def _stack_text(texts: tuple[Array, ...]) -> Array:
    """[rows, T, E] of several buckets in one, with as many slots as the longest has."""
    slots = max(text.shape[1] for text in texts)
    return jnp.concatenate([jnp.pad(text, ((0, 0), (0, slots - text.shape[1]), (0, 0))) for text in texts])


def _spread(tree: Any) -> Any:
    """Arrays [B, ...] divided over the devices as batches are."""
    return jax.tree.map(lambda x: constrain(x, "activation_batch", *[None] * (x.ndim - 1)), tree)
