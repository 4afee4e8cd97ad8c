"""A trained tokenizer as users hold it: pixels in, ids out, and back."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from magvit_jax.errors import UserError
from magvit_jax.partitioning import state_shardings, unbox
from magvit_jax.tokenizer import chunks, streaming
from magvit_jax.tokenizer.inputs import as_ids, as_video
from magvit_jax.tokenizer.model import TokenizerModel
from magvit_jax.typing import Array, PyTree


@dataclasses.dataclass(frozen=True)
class ClipFormat:
    """The clips that a model was trained on: frames, every stride-th of the file, height and width in pixels."""

    frames: int
    height: int
    width: int
    stride: int = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.frames, self.height, self.width


class Tokenizer:
    """Encodes images and videos to ids and decodes them.

    Attributes:
      model: the Linen module; usable by itself with `params`.
      params: its parameters.
      clip: the clips it was trained on. Any other size that `model.latent_shape` allows works too.
      class_names: names of the labels of its training data, possibly none.
      fingerprint: identifies architecture and weights.
    """

    def __init__(
        self,
        model: TokenizerModel,
        params: PyTree,
        clip: ClipFormat,
        class_names: tuple[str, ...] = (),
        fingerprint: str = "",
        mesh: Mesh | None = None,
    ):
        self.model, self.clip, self.class_names, self.fingerprint = model, clip, class_names, fingerprint
        self.mesh = mesh
        self.params = jax.device_put(params, None if mesh is None else self._shardings(mesh))
        self._encode = jax.jit(lambda p, x: model.apply({"params": p}, x, method="encode_to_ids"))
        self._decode = jax.jit(lambda p, x: model.apply({"params": p}, x, method=_decode_clipped))
        self._encode_chunk = streaming.chunk_step(model, "encode_to_ids", mesh)
        self._decode_chunk = streaming.chunk_step(model, _decode_clipped, mesh)

    def abstract_params(self) -> PyTree:
        """Shapes and logical axes of the parameters, boxed; nothing is computed."""
        return abstract_params(self.model, self.clip)

    def _shardings(self, mesh: Mesh) -> PyTree:
        return state_shardings(self.abstract_params(), mesh)

    def encode(self, video: Any) -> Array:
        """Ids of videos or images.

        Args:
          video: uint8 in [0, 255] or float in [0, 1]; [B, T, H, W, 3], or [B, H, W, 3] for images.

        Returns:
          int32 [B, t, h, w]; t is 1 for images.

        Raises:
          UserError: shape, dtype or range is not one of these, or the strides do not divide the size.
        """
        return self._encode(self.params, streaming.place(as_video(video), self.mesh))

    def decode(self, ids: Any) -> Array:
        """int32 ids in [0, codebook_size), [B, t, h, w], to float32 pixels in [0, 1], [B, T, H, W, 3]."""
        return self._decode(self.params, streaming.place(as_ids(ids, self.model.codebook_size), self.mesh))

    def reconstruct(self, video: Any) -> Array:
        """`decode(encode(video))`: float32 in [0, 1], [B, T, H, W, 3]."""
        return self._decode(self.params, self.encode(video))

    def encode_stream(
        self, frames: Iterable[Any], chunk: int | None = None, *, windows: bool = False
    ) -> Iterator[Array]:
        """Ids of a video of any length and size, chunk by chunk in bounded memory.

        A model that streams (`model.streams`) carries what its layers have seen from chunk to chunk: the ids are those
        that `encode` gives the whole video, but for rounding. Any other model sees independent windows of its training
        clips' length, each with a border of its own. So does every model with `windows`: frames with a longer past
        than any in training come out worse, by 6 dB for a tokenizer trained on 9 frames.

        What does not fit is padded, so that it can be cropped again: pixels by the last row and column, to the
        next height and width that the strides divide; a video's end by its last frame, to the next latent frame, or
        to the end of the window.

        Args:
          frames: frames [H, W, 3] of one video, or chunks [B, T, H, W, 3] of any T of B videos; all of them uint8 in
            [0, 255] or all float in [0, 1].
          chunk: latent frames computed at once, for a model that streams; about 16 frames by default. It changes
            memory and speed, not results. The first chunk is compiled, and the later ones once more.
          windows: take independent windows even if the model streams.

        Yields:
          int32 [B, t, h, w], t = chunk but for the last; B is 1 for single frames.

        Raises:
          UserError: a frame of another shape or dtype than the first, or out of range, is named by its number.
        """
        layout = chunks.plan(self.model, self.clip.shape, chunk, windows)
        run = streaming.carrying(self._encode_chunk, self.params, self.mesh, layout.windows)
        return streaming.two_in_flight(streaming.encode(self.model, layout, run, frames))

    def decode_stream(
        self,
        ids: Iterable[Any],
        chunk: int | None = None,
        *,
        windows: bool = False,
        frames: int | None = None,
        height: int | None = None,
        width: int | None = None,
    ) -> Iterator[Array]:
        """Pixels of ids of any length, chunk by chunk in bounded memory; the counterpart of `encode_stream`.

        Args:
          ids: integers [B, t, h, w] in [0, codebook_size) of any t, as `encode_stream` yields them.
          chunk: latent frames computed at once, for a model that streams; it need not be that of encoding.
          windows: whether the ids are of windows, as in encoding.
          frames, height, width: what to crop the video to, where the encoder padded it.

        Yields:
          float32 in [0, 1], [B, T, H, W, 3].

        Raises:
          UserError: ids that are none, named by their number, or fewer than `frames` asks for.
        """
        layout = chunks.plan(self.model, self.clip.shape, chunk, windows)
        run = streaming.carrying(self._decode_chunk, self.params, self.mesh, layout.windows)
        videos = streaming.two_in_flight(streaming.decode(self.model, layout, run, ids))
        return streaming.cropped(videos, frames, height, width)

    def stream_size(
        self, frames: int, height: int, width: int, *, windows: bool = False
    ) -> tuple[int, int, int]:
        """What `encode_stream` pads a video to: (frames, height, width).

        Raises:
          UserError: a size below 1, or one that no padding makes fit.
        """
        for name, value in (("frames", frames), ("height", height), ("width", width)):
            if value < 1:
                raise UserError(f"{name} is {value}: expected 1 or more")
        layout = chunks.plan(self.model, self.clip.shape, None, windows)
        size = chunks.padded_size(self.model, height, width)
        self.model.latent_shape(layout.frames_of(layout.latents, first=True), *size)
        return layout.filled(frames), *size

    def reconstruct_stream(
        self, frames: Iterable[Any], chunk: int | None = None, *, windows: bool = False
    ) -> Iterator[Array]:
        """`decode_stream(encode_stream(frames))`, cropped to the frames and size that came in.

        Yields:
          float32 in [0, 1], [B, T, H, W, 3], as soon as a chunk is through.
        """
        source = streaming.Counted(frames)
        videos = self.decode_stream(self.encode_stream(source, chunk, windows=windows), chunk, windows=windows)
        return streaming.as_long_as(source, videos)


def _decode_clipped(model: TokenizerModel, ids_Bthw: Array) -> Array:
    return jnp.clip(model.decode_from_ids(ids_Bthw), 0.0, 1.0)


def abstract_params(model: TokenizerModel, clip: ClipFormat) -> PyTree:
    """Shapes, dtypes and logical axes of a model's parameters, boxed; nothing is computed."""
    video = jax.ShapeDtypeStruct((1, *clip.shape, 3), jnp.float32)
    return jax.eval_shape(model.init, jax.eval_shape(lambda: jax.random.key(0)), video)["params"]


def unboxed_abstract_params(model: TokenizerModel, clip: ClipFormat) -> PyTree:
    """`abstract_params` as plain shapes."""
    return unbox(abstract_params(model, clip))
