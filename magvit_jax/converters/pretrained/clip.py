"""CLIP under the keys of Hugging Face's port (openai/clip-vit-base-patch16 and -patch32)."""

import re
from collections.abc import Mapping

import jax
import numpy as np

from magvit_jax.converters.pretrained.files import Source, content
from magvit_jax.converters.tensors import from_torch, take, torch_shape
from magvit_jax.errors import UserError
from magvit_jax.pretrained.clip import CLIP_SIZES
from magvit_jax.pretrained.clip_tokenizer import ClipTokenizer
from magvit_jax.pretrained.language import clip
from magvit_jax.pretrained.networks import abstract_params
from magvit_jax.pretrained.weights import VOCABULARY

_TOWERS = {"image": "vision_model", "text": "text_model"}
_PARTS = ("q_proj", "k_proj", "v_proj")
#: Our path to their key, of what is named alike in all layers and towers.
_RENAMED = (
    (r"/layer(\d+)/attention_norm", r"/encoder/layers/\1/layer_norm1"),
    (r"/layer(\d+)/mlp_norm", r"/encoder/layers/\1/layer_norm2"),
    (r"/layer(\d+)/mlp_in", r"/encoder/layers/\1/mlp/fc1"),
    (r"/layer(\d+)/mlp_out", r"/encoder/layers/\1/mlp/fc2"),
    (r"/layer(\d+)/attention/out_(kernel|bias)", r"/encoder/layers/\1/self_attn/out_proj/\2"),
    (r"/layer(\d+)/attention/qkv_(kernel|bias)", r"/encoder/layers/\1/self_attn/{}/\2"),
    (r"/pre_norm", "/pre_layrnorm"),
    (r"/post_norm", "/post_layernorm"),
    (r"/final_norm", "/final_layer_norm"),
    (r"/patch/kernel", "/embeddings/patch_embedding/kernel"),
    (r"/class_embedding", "/embeddings/class_embedding"),
    (r"/(token|position)_embedding", r"/embeddings/\1_embedding/weight"),
)
_PROJECTIONS = {"image/projection": "visual_projection.weight", "text/projection": "text_projection.weight"}
#: Positions from 0 that older files hold, which are no weights.
_COUNTERS = tuple(f"{tower}.embeddings.position_ids" for tower in _TOWERS.values())


def arrays(name: str, weights: Source, merges: Source) -> dict[str, np.ndarray]:
    """Our arrays by path, and the vocabulary.

    Args:
      name: of `CLIP_SIZES`.

    Raises:
      UserError: names the first key, or the vocabulary, that does not fit.
    """
    size = CLIP_SIZES[name]
    vocabulary = content(merges)
    ClipTokenizer(vocabulary.tobytes(), size.vocabulary, size.context)  # refuses what is none of CLIP's
    return tower_arrays(abstract_params(clip(name, np.float32)), weights) | {VOCABULARY: vocabulary}


def tower_arrays(expected: Mapping[str, jax.ShapeDtypeStruct], weights: Source) -> dict[str, np.ndarray]:
    """Our arrays by path, of a model of these shapes."""
    keys = {path: keys_of(path) for path in expected}
    known = {key for several in keys.values() for key in several}
    for key in weights.tensors:
        if key not in known and key not in _COUNTERS:
            raise UserError(f"{weights.name}: key {key} is none of a CLIP of this size")
    return {path: _taken(path, leaf.shape, keys[path], weights) for path, leaf in expected.items()}


def keys_of(path: str) -> list[str]:
    """Their key of a parameter; three of one that holds queries, keys and values."""
    if path == "logit_scale":
        return [path]
    if path in _PROJECTIONS:
        return [_PROJECTIONS[path]]
    tower, _, rest = path.partition("/")
    key = f"{_TOWERS[tower]}/{rest}"
    for pattern, replacement in _RENAMED:
        key = re.sub(pattern, replacement, key)
    key = re.sub(r"/(kernel|scale)$", "/weight", key).replace("/", ".")
    return [key.format(part) for part in _PARTS] if "{}" in key else [key]


def _taken(path: str, shape: tuple[int, ...], keys: list[str], weights: Source) -> np.ndarray:
    if len(keys) == 3:  # [D, 3, N, E] and [3, N, E] are three times [D, D] and [D] there
        width = shape[-2] * shape[-1]
        theirs = (width,) if path.endswith("bias") else (width, shape[0])
        parts = [from_torch(take(weights.tensors, key, theirs, weights.name)) for key in keys]
        return np.stack(parts, axis=-2 if len(theirs) == 2 else 0).reshape(shape)
    if path.endswith("out_kernel"):  # [N, E, D]
        theirs = (shape[2], shape[0] * shape[1])
        return from_torch(take(weights.tensors, keys[0], theirs, weights.name)).reshape(shape)
    if path.endswith("embedding"):
        return np.array(take(weights.tensors, keys[0], shape, weights.name), order="C")
    return from_torch(take(weights.tensors, keys[0], torch_shape(shape), weights.name))
