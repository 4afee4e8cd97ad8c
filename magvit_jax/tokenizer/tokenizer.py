"""A trained tokenizer as users hold it: pixels in, ids out, and back."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from magvit_jax.errors import UserError
from magvit_jax.partitioning import batch_sharding, batch_shards, replicated, state_shardings, unbox
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
        self._decode = jax.jit(self._decode_clipped)

    def abstract_params(self) -> PyTree:
        """Shapes and logical axes of the parameters, boxed; nothing is computed."""
        return abstract_params(self.model, self.clip)

    def _shardings(self, mesh: Mesh) -> PyTree:
        return state_shardings(self.abstract_params(), mesh)

    def _decode_clipped(self, params: PyTree, ids_Bthw: Array) -> Array:
        return jnp.clip(self.model.apply({"params": params}, ids_Bthw, method="decode_from_ids"), 0.0, 1.0)

    def _place(self, x: Array) -> Array:
        """On the mesh, split over the batch where it divides."""
        if self.mesh is None:
            return x
        divides = x.shape[0] % batch_shards(self.mesh) == 0
        return jax.device_put(x, batch_sharding(self.mesh) if divides else replicated(self.mesh))

    def encode(self, video: Any) -> Array:
        """Ids of videos or images.

        Args:
          video: uint8 in [0, 255] or float in [0, 1]; [B, T, H, W, 3], or [B, H, W, 3] for images.

        Returns:
          int32 [B, t, h, w]; t is 1 for images.

        Raises:
          UserError: shape, dtype or range is not one of these, or the strides do not divide the size.
        """
        return self._encode(self.params, self._place(as_video(video)))

    def decode(self, ids: Any) -> Array:
        """int32 ids in [0, codebook_size), [B, t, h, w], to float32 pixels in [0, 1], [B, T, H, W, 3]."""
        ids = jnp.asarray(ids)
        if ids.ndim != 4 or not jnp.issubdtype(ids.dtype, jnp.integer):
            raise UserError(f"ids: {ids.dtype} {list(ids.shape)}; expected integers [B, t, h, w]")
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < self.model.codebook_size:
            raise UserError(
                f"ids: {int(ids.min())} to {int(ids.max())}; expected 0 to {self.model.codebook_size - 1}"
            )
        return self._decode(self.params, self._place(ids.astype(jnp.int32)))

    def reconstruct(self, video: Any) -> Array:
        """`decode(encode(video))`: float32 in [0, 1], [B, T, H, W, 3]."""
        return self._decode(self.params, self.encode(video))


def abstract_params(model: TokenizerModel, clip: ClipFormat) -> PyTree:
    """Shapes, dtypes and logical axes of a model's parameters, boxed; nothing is computed."""
    video = jax.ShapeDtypeStruct((1, *clip.shape, 3), jnp.float32)
    return jax.eval_shape(model.init, jax.eval_shape(lambda: jax.random.key(0)), video)["params"]


def unboxed_abstract_params(model: TokenizerModel, clip: ClipFormat) -> PyTree:
    """`abstract_params` as plain shapes."""
    return unbox(abstract_params(model, clip))


def as_video(video: Any) -> Array:
    """Checks user pixels and makes them float32 in [0, 1], [B, T, H, W, 3]; see `Tokenizer.encode`."""
    if not hasattr(video, "ndim"):
        video = np.asarray(video)
    if video.ndim not in (4, 5) or video.shape[-1] != 3:
        raise UserError(
            f"video of shape {list(video.shape)}; expected [B, T, H, W, 3], or [B, H, W, 3] for images"
        )
    if video.dtype == np.uint8:
        pixels = jnp.asarray(video).astype(jnp.float32) / 255.0
    elif jnp.issubdtype(video.dtype, jnp.floating):
        pixels = jnp.asarray(video).astype(jnp.float32)
        _require_unit_range(pixels)
    else:
        raise UserError(f"video of dtype {video.dtype}; expected uint8 in [0, 255] or float in [0, 1]")
    return pixels if video.ndim == 5 else pixels[:, None]


def _require_unit_range(pixels: Array) -> None:
    if isinstance(pixels, jax.core.Tracer) or not pixels.size:
        return  # inside somebody's jit there are no values to look at
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0.0 and high <= 1.0):
        found = "NaN" if np.isnan(low) else f"{low:g} to {high:g}"
        raise UserError(f"video of float pixels: {found}; expected 0 to 1")
