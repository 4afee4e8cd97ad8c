"""Sounds of any length through a codec, part by part in bounded memory (see `SoundTokenizer.decode_stream`).

A causal codec carries what its layers have seen from part to part. One that looks ahead sees overlapping windows, and
what lies so near to a window's end that it would miss something is left out: both give what the whole sound gives.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from magvit_jax.tokenizer import chunks
from magvit_jax.tokenizer.streaming import Run
from magvit_jax.typing import Array


class Rates(NamedTuple):
    """How many inputs and outputs of a direction make a latent."""

    inputs: int
    outputs: int


def carried(run: Run, parts: Iterable[np.ndarray], chunk: int, rates: Rates) -> Iterator[Array]:
    """Outputs of a causal codec.

    Args:
      run: one chunk to its outputs, which remembers the chunks before.
      parts: inputs [B, n, ...] of any n, in all a whole number of latents.
      chunk: latents of a chunk.
    """
    length = chunk * rates.inputs
    for part, there, _ in chunks.cut(parts, length, length):
        # A last chunk that is not full was filled up behind, where a causal codec does not look.
        yield run(part)[:, : there // rates.inputs * rates.outputs]


def in_windows(run: Run, parts: Iterable[np.ndarray], chunk: int, context: int, rates: Rates) -> Iterator[Array]:
    """Outputs of a codec that looks ahead; the inputs are held, the outputs are not.

    Args:
      run: inputs of a window to its outputs.
      context: latents on each side that an output may depend on.
      parts, chunk: as of `carried`.
    """
    held = list(parts)
    if not held:
        return
    x = np.concatenate(held, axis=1)
    latents = x.shape[1] // rates.inputs
    window = min(chunk + 2 * context, latents)  # all of one length: one compilation
    for begin in range(0, latents, chunk):
        end = min(begin + chunk, latents)
        start = min(max(begin - context, 0), latents - window)
        y = run(x[:, start * rates.inputs : (start + window) * rates.inputs])
        yield y[:, (begin - start) * rates.outputs : (end - start) * rates.outputs]


def filled(parts: Iterable[np.ndarray], multiple: int) -> Iterator[np.ndarray]:
    """The parts [B, n, ...], and zeros after them up to a multiple of so many inputs."""
    length, last = 0, None
    for part in parts:
        length, last = length + part.shape[1], part
        yield part
    if last is not None and length % multiple:
        yield np.zeros((last.shape[0], -length % multiple, *last.shape[2:]), last.dtype)
