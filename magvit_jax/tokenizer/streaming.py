"""Video of any length through a tokenizer, chunk by chunk in bounded memory (see `Tokenizer.encode_stream`)."""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from magvit_jax.errors import UserError
from magvit_jax.nn.stream import STREAM
from magvit_jax.partitioning import batch_sharding, batch_shards, replicated
from magvit_jax.tokenizer import chunks
from magvit_jax.tokenizer.inputs import as_ids, as_video
from magvit_jax.tokenizer.model import TokenizerModel
from magvit_jax.typing import Array, PyTree

Step = Callable[[PyTree, PyTree, Array], tuple[Array, PyTree]]
Run = Callable[[Array], Array]


def place(x: Array, mesh: Mesh | None) -> Array:
    """`x` on the mesh, split over the batch where it divides."""
    return x if mesh is None else jax.device_put(x, _over_batch(x, mesh))


def _over_batch(x: Array, mesh: Mesh) -> jax.sharding.NamedSharding:
    divides = x.ndim > 0 and x.shape[0] % batch_shards(mesh) == 0
    return batch_sharding(mesh) if divides else replicated(mesh)


def chunk_step(model: TokenizerModel, method: str | Callable, mesh: Mesh | None) -> Step:
    """`method` of a model on one chunk: (params, state, chunk) -> (output, state), compiled once for each shape.

    The state is None for the first chunk, and then what the call before gave; it is donated. A model that does not
    stream has none, and every chunk is a first one.
    """

    def step(params: PyTree, state: PyTree, chunk: Array) -> tuple[Array, PyTree]:
        if not model.streams:
            return model.apply({"params": params}, chunk, method=method), None
        variables = {"params": params} if state is None else {"params": params, STREAM: state}
        output, changed = model.apply(variables, chunk, method=method, mutable=[STREAM])
        state = changed.get(STREAM, {})
        if mesh is not None:
            state = jax.lax.with_sharding_constraint(
                state, jax.tree.map(lambda x: _over_batch(x, mesh), state)
            )
        return output, state

    return jax.jit(step, donate_argnums=1)


def carrying(step: Step, params: PyTree, mesh: Mesh | None, windows: bool) -> Run:
    """A step as a function of the chunk alone, which remembers the state from call to call, unless it is in windows."""
    state = None

    def run(chunk: Array) -> Array:
        nonlocal state
        output, after = step(params, state, place(chunk, mesh))
        state = None if windows else after
        return output

    return run


def encode(model: TokenizerModel, layout: chunks.Chunks, run: Run, frames: Iterable[Any]) -> Iterator[Array]:
    """Ids of the chunks that the frames fill; see `Tokenizer.encode_stream`."""
    lengths = (layout.frames_of(layout.latents, first) for first in (True, False))
    for pixels, there, start in chunks.cut(chunks.videos(frames), *lengths):
        size = chunks.padded_size(model, *pixels.shape[2:4])
        model.latent_shape(layout.frames_of(layout.latents, first=True), *size)
        ids = run(chunks.checked(as_video, chunks.padded(pixels, *size), start, "frame"))
        # What only shows the repeated last frame is left out, but the latents of a window need each other.
        yield ids if layout.windows else _corner(ids, layout.latents_of(there, first=start == 0))


def decode(model: TokenizerModel, layout: chunks.Chunks, run: Run, ids: Iterable[Any]) -> Iterator[Array]:
    """Pixels of the chunks that the ids fill; see `Tokenizer.decode_stream`."""
    check = functools.partial(as_ids, codebook_size=model.codebook_size)
    for part, there, start in chunks.cut(chunks.latents(ids), layout.latents, layout.latents):
        video = run(chunks.checked(check, part, start, "latent frame"))
        yield _corner(video, layout.frames_of(there, first=start == 0))


def two_in_flight(outputs: Iterator[Array]) -> Iterator[Array]:
    """Keeps a device busy while the next chunk is read, without piling chunks up in front of it."""
    previous = None
    for output in outputs:
        if previous is not None:
            previous.block_until_ready()
        previous = output
        yield output


def cropped(
    videos: Iterable[Array], frames: int | None, height: int | None, width: int | None
) -> Iterator[Array]:
    """The first `frames` frames of a stream, their top left corner; None leaves a dimension as it is."""
    given = 0
    for video in videos:
        for name, wanted, there in (("height", height, video.shape[2]), ("width", width, video.shape[3])):
            if wanted is not None and not 1 <= wanted <= there:
                raise UserError(f"{name} is {wanted}: the ids are of {there} pixels; expected 1 to {there}")
        left = None if frames is None else frames - given
        video = _corner(video, left, height, width)
        given += video.shape[1]
        yield video
        if given == frames:
            return
    if frames is not None:
        raise UserError(f"frames is {frames}: the ids are of {given} frames; expected {given} or fewer")


class Counted:
    """The chunks of a video, and what has gone by: how many frames, of which (height, width)."""

    def __init__(self, frames: Iterable[Any]):
        self._chunks = chunks.videos(frames)
        self.frames, self.size = 0, (0, 0)

    def __iter__(self) -> Iterator[np.ndarray]:
        for chunk in self._chunks:
            self.frames += chunk.shape[1]
            self.size = chunk.shape[2:4]
            yield chunk


def as_long_as(source: Counted, videos: Iterable[Array]) -> Iterator[Array]:
    """What was made of `source`, without its padding."""
    given = 0
    for video in videos:
        # A chunk that is not full comes last, when all frames have been counted.
        video = _corner(video, source.frames - given, *source.size)
        given += video.shape[1]
        yield video


def _corner(x: Array, frames: int | None, height: int | None = None, width: int | None = None) -> Array:
    """The first of [B, T, H, W, ...]; x itself where that is all of it."""
    wanted = (slice(None), *(slice(size) for size in (frames, height, width)))
    whole = all(part.stop is None or part.stop >= size for part, size in zip(wanted, x.shape, strict=False))
    return x if whole else x[wanted]
