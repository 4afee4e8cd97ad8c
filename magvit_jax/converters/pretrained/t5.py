"""T5 v1.1's encoder under the keys of Hugging Face's port (google/t5-v1_1-small ... -xxl)."""

import re
from collections.abc import Mapping

import jax
import numpy as np

from magvit_jax.converters.pretrained.files import Source, content
from magvit_jax.converters.tensors import from_torch, take
from magvit_jax.errors import UserError
from magvit_jax.pretrained.language import t5
from magvit_jax.pretrained.networks import abstract_params
from magvit_jax.pretrained.t5_tokenizer import T5Tokenizer
from magvit_jax.pretrained.weights import VOCABULARY

#: What else the file of the whole T5 holds; the embedding stands there twice.
IGNORED = ("decoder.", "lm_head.", "encoder.embed_tokens.")
_KEYS = {
    "embedding": "shared.weight",
    "distance_bias": "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    "final_norm/scale": "encoder.final_layer_norm.weight",
}
_IN_LAYER = {
    "attention/query": "layer.0.SelfAttention.q",
    "attention/key": "layer.0.SelfAttention.k",
    "attention/value": "layer.0.SelfAttention.v",
    "attention/out": "layer.0.SelfAttention.o",
    "attention_norm/scale": "layer.0.layer_norm",
    "mlp/gate": "layer.1.DenseReluDense.wi_0",
    "mlp/in": "layer.1.DenseReluDense.wi_1",
    "mlp/out": "layer.1.DenseReluDense.wo",
    "mlp_norm/scale": "layer.1.layer_norm",
}


def arrays(name: str, weights: Source, spiece: Source) -> dict[str, np.ndarray]:
    """Our arrays by path, and the vocabulary.

    Args:
      name: of `T5_SIZES`.

    Raises:
      UserError: names the first key, or the vocabulary, that does not fit.
    """
    T5Tokenizer(content(spiece).tobytes())  # refuses what is no vocabulary of T5
    return encoder_arrays(abstract_params(t5(name, np.float32)), weights) | {VOCABULARY: content(spiece)}


def encoder_arrays(expected: Mapping[str, jax.ShapeDtypeStruct], weights: Source) -> dict[str, np.ndarray]:
    """Our arrays by path, of an encoder of these shapes."""
    keys = {path: key_of(path) for path in expected}
    known = set(keys.values())
    for key in weights.tensors:
        if key not in known and not key.startswith(IGNORED):
            raise UserError(f"{weights.name}: key {key} is none of a T5 v1.1 of this size")
    return {path: _taken(path, leaf.shape, keys[path], weights) for path, leaf in expected.items()}


def key_of(path: str) -> str:
    """"layer3_mlp/gate" is "encoder.block.3.layer.1.DenseReluDense.wi_0.weight"."""
    if path in _KEYS:
        return _KEYS[path]
    number, part = re.fullmatch(r"layer(\d+)_(.+)", path).groups()
    return f"encoder.block.{number}.{_IN_LAYER[part]}.weight"


def _taken(path: str, shape: tuple[int, ...], key: str, weights: Source) -> np.ndarray:
    if path in ("embedding", "distance_bias") or len(shape) == 1:
        return np.array(take(weights.tensors, key, shape, weights.name), order="C")
    # Heads are one axis there, and the outputs come first.
    into = shape[0] if not path.endswith("attention/out") else shape[0] * shape[1]
    theirs = (int(np.prod(shape)) // into, into)
    return from_torch(take(weights.tensors, key, theirs, weights.name)).reshape(shape)
