"""A trained sound tokenizer as users hold it: samples in, ids out, and back."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from magvit_jax.errors import UserError
from magvit_jax.partitioning import state_shardings, unbox
from magvit_jax.tokenizer import sound_streaming, streaming
from magvit_jax.tokenizer.dac import Dac
from magvit_jax.tokenizer.inputs import as_sound, as_sound_ids
from magvit_jax.tokenizer.sound_streaming import Rates
from magvit_jax.tokenizer.soundstream.codec import SoundStreamCodec
from magvit_jax.typing import Array, PyTree

SoundCodec = SoundStreamCodec | Dac
#: Codecs by the name that a bundle gives.
CODECS: Mapping[str, type[SoundCodec]] = {"soundstream": SoundStreamCodec, "dac": Dac}
CHUNK = 50  # latents decoded at once where nobody asks for another number: a second


class SoundTokenizer:
    """Encodes sounds of one channel to ids and decodes them.

    Attributes:
      model: the Linen module; usable by itself with `params`.
      params: its parameters.
      sample_rate: of the samples, in Hz.
      fingerprint: identifies architecture and weights.
    """

    def __init__(
        self,
        model: SoundCodec,
        params: PyTree,
        sample_rate: int,
        fingerprint: str = "",
        mesh: Mesh | None = None,
    ):
        self.model, self.sample_rate, self.fingerprint, self.mesh = model, sample_rate, fingerprint, mesh
        shardings = None if mesh is None else state_shardings(self.abstract_params(), mesh)
        self.params = jax.device_put(params, shardings)
        self._encode = jax.jit(self.encode_to_ids)
        self._decode = jax.jit(self.decode_from_ids)
        self._encode_chunk = streaming.chunk_step(model, "encode_to_ids", mesh)
        self._decode_chunk = streaming.chunk_step(model, _decode, mesh)

    @property
    def samples_per_latent(self) -> int:
        """Samples that a latent stands for."""
        return self.model.samples_per_latent

    @property
    def latent_rate(self) -> float:
        """Latents a second."""
        return self.sample_rate / self.samples_per_latent

    @property
    def levels(self) -> int:
        """Ids a latent has, coarse level first."""
        return self.model.levels

    @property
    def codes(self) -> int:
        """Ids of each level are in [0, codes)."""
        return self.model.codebook_size

    def abstract_params(self) -> PyTree:
        """Shapes and logical axes of the parameters, boxed; nothing is computed."""
        return abstract_params(self.model)

    def encode_to_ids(self, params: PyTree, audio_BS: Array) -> Array:
        """`encode` as a pure function, for use inside a jitted step.

        Args:
          params: as of the attribute.
          audio_BS: float [B, S] in [-1, 1] at `sample_rate`, S a multiple of `samples_per_latent`.

        Returns:
          int32 [B, f, Q].

        Raises:
          UserError: another length.
        """
        return self.model.apply({"params": params}, audio_BS, method="encode_to_ids")

    def decode_from_ids(self, params: PyTree, ids_BfQ: Array) -> Array:
        """`decode` as a pure function: int32 [B, f, Q] to float32 [B, S] in [-1, 1], S = f samples_per_latent."""
        return self.model.apply({"params": params}, ids_BfQ, method=_decode)

    def encode(self, audio: Any) -> Array:
        """Ids of sounds.

        Args:
          audio: float [B, S] in [-1, 1] at `sample_rate`; `data.read_sound` reads files so. The end is filled with
            silence up to a whole number of latents.

        Returns:
          int32 [B, f, Q], f = ceil(S / samples_per_latent), Q = `levels`.

        Raises:
          UserError: shape, dtype or range is not one of these.
        """
        audio_BS = as_sound(audio)
        lacking = -audio_BS.shape[1] % self.samples_per_latent
        return self._encode(self.params, streaming.place(jnp.pad(audio_BS, ((0, 0), (0, lacking))), self.mesh))

    def decode(self, ids: Any) -> Array:
        """Integers [B, f, Q] in [0, codes) to float32 samples in [-1, 1], [B, f samples_per_latent].

        Fewer levels than `levels` are taken for the first ones: a coarser sound.

        Raises:
          UserError: ids that are none.
        """
        return self._decode(self.params, streaming.place(self._checked(ids), self.mesh))

    def reconstruct(self, audio: Any) -> Array:
        """`decode(encode(audio))`, as long as what came in: float32 [B, S] in [-1, 1]."""
        ids_BfQ = self.encode(audio)
        return self._decode(self.params, ids_BfQ)[:, : np.shape(audio)[1]]

    def encode_stream(self, audio: Iterable[Any], chunk: int = CHUNK) -> Iterator[Array]:
        """Ids of a sound as it comes, in bounded memory; put in a row they are those of `encode`, but for rounding.

        Args:
          audio: float [B, S] of any S, parts of a longer sound.
          chunk: latents computed at once; it changes memory, delay and speed, not results.

        Yields:
          int32 [B, chunk, Q] but for the last.

        Raises:
          UserError: samples that are none, or a chunk below 1.
        """
        parts = sound_streaming.filled((np.asarray(as_sound(part)) for part in audio), self.samples_per_latent)
        return self._stream(self._encode_chunk, parts, chunk, Rates(self.samples_per_latent, 1))

    def decode_stream(self, ids: Iterable[Any], chunk: int = CHUNK) -> Iterator[Array]:
        """Samples of ids as they come, in bounded memory; put in a row they are those of `decode`.

        A codec that looks ahead (`model.streams` is False) gives the first samples when all ids are there.

        Args:
          ids: integers [B, f, Q] of any f.
          chunk: latents decoded at once; it changes memory, delay and speed, not results.

        Yields:
          float32 in [-1, 1], [B, chunk samples_per_latent] but for the last.

        Raises:
          UserError: ids that are none, or a chunk below 1.
        """
        parts = (np.asarray(self._checked(part)) for part in ids)
        return self._stream(self._decode_chunk, parts, chunk, Rates(1, self.samples_per_latent))

    def reconstruct_stream(self, audio: Iterable[Any], chunk: int = CHUNK) -> Iterator[Array]:
        """`decode_stream(encode_stream(audio))`; the silence that filled the last latent is not cut off."""
        return self.decode_stream(self.encode_stream(audio, chunk), chunk)

    def _stream(
        self, step: streaming.Step, parts: Iterable[np.ndarray], chunk: int, rates: Rates
    ) -> Iterator[Array]:
        if chunk < 1:
            raise UserError(f"chunk is {chunk}; expected 1 latent or more")
        run = streaming.carrying(step, self.params, self.mesh, windows=not self.model.streams)
        if self.model.streams:
            return streaming.two_in_flight(sound_streaming.carried(run, parts, chunk, rates))
        windows = sound_streaming.in_windows(run, parts, chunk, self.model.context, rates)
        return streaming.two_in_flight(windows)

    def _checked(self, ids: Any) -> Array:
        return as_sound_ids(ids, self.levels, self.codes)


def abstract_params(model: SoundCodec) -> PyTree:
    """Shapes and logical axes of a codec's parameters, boxed; nothing is computed."""
    audio = jax.ShapeDtypeStruct((1, 4 * model.samples_per_latent), jnp.float32)
    return jax.eval_shape(model.init, jax.eval_shape(lambda: jax.random.key(0)), audio)["params"]


def unboxed_abstract_params(model: SoundCodec) -> PyTree:
    """Shapes of a codec's parameters."""
    return unbox(abstract_params(model))


def _decode(model: SoundCodec, ids_BfQ: Array) -> Array:
    """Samples in [-1, 1]. Those that a codec loses at the end (`Dac.decode_from_ids`) are silent."""
    audio_BS = jnp.clip(model.decode_from_ids(ids_BfQ), -1.0, 1.0)
    lost = ids_BfQ.shape[1] * model.samples_per_latent - audio_BS.shape[1]
    return jnp.pad(audio_BS, ((0, 0), (0, lost)))
