"""A small classifier of clips, trained where it is used: it needs no weights from anywhere.

It recognises what generated clips show. Trained on a tokenizer's reconstructions of real clips, it judges
generated clips by their content and not by the tokenizer's artefacts. One that was trained once and shipped
gives the features of `fd_small`.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from magvit_jax import ops
from magvit_jax.typing import Array, PyTree


class ClipClassifier(nn.Module):
    """Strided 3D convolutions and a linear layer on clips.

    The convolutions are causal, so an output sees frames up to its own. The last output is that of the last frame:
    where the strides don't end there, the first frame is repeated in front.

    Attributes:
      classes: number of labels.
      widths: channels of the convolutions, each of stride 2 in time and space.
      halve: average 2x2 pixels first, which is faster and blind to detail.
      norm_groups: groups of a group norm after each convolution, which takes the clip's contrast away; 0 for
        a bias.
      pooled: average the last convolution over time and space, so that clips of any shape fit; else the
        linear layer sees every position, and clips have one shape.
      bounded: the last convolution ends in tanh instead of ReLU, so that no strange clip outweighs all
        others.
    """

    classes: int
    widths: tuple[int, ...] = (24, 48, 96)
    halve: bool = True
    norm_groups: int = 8
    pooled: bool = False
    bounded: bool = False

    @nn.compact
    def __call__(self, video_BTHWC: Array, head: bool = True) -> Array:
        """Float pixels in [0, 1], [B, T, H, W, 3], to logits [B, classes] or, no `head`, features [B, F]."""
        x = 2.0 * (_halved(video_BTHWC) if self.halve else video_BTHWC) - 1.0
        missing = (1 - x.shape[1]) % 2 ** len(self.widths)
        x = jnp.pad(x, ((0, 0), (missing, 0), (0, 0), (0, 0), (0, 0)), mode="edge")
        for i, width in enumerate(self.widths):
            shape = (3, 3, 3, x.shape[-1], width)
            kernel = self.param(
                f"kernel{i}", nn.initializers.he_normal(in_axis=(0, 1, 2, 3), out_axis=4), shape
            )
            bias = None if self.norm_groups else self.param(f"bias{i}", nn.initializers.zeros, (width,))
            x = ops.causal_conv3d(x, kernel, strides=(2, 2, 2), bias=bias)
            if self.norm_groups:
                x = nn.GroupNorm(num_groups=self.norm_groups, name=f"norm{i}")(x)
            x = jnp.tanh(x) if self.bounded and i == len(self.widths) - 1 else nn.relu(x)
        features_BF = x.mean(axis=(1, 2, 3)) if self.pooled else x.reshape(x.shape[0], -1)
        return nn.Dense(self.classes, name="logits")(features_BF) if head else features_BF


def _halved(video_BTHWC: Array) -> Array:
    half = (1, 2, 2)
    return nn.pool(video_BTHWC, 0.0, jax.lax.add, half, half, "VALID") / 4.0


def unit_float(video: Array) -> Array:
    """uint8 in [0, 255] or floats in [0, 1] as float32 in [0, 1]."""
    return video.astype(jnp.float32) / (255.0 if video.dtype == jnp.uint8 else 1.0)


@functools.partial(jax.jit, static_argnames=("model", "optimizer"), donate_argnums=(2, 3))
def _train_step(model, optimizer, params: PyTree, opt_state: PyTree, video: Array, label: Array):
    def loss(params: PyTree) -> Array:
        logits = model.apply({"params": params}, unit_float(video))
        return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()

    # optax counts in int32 and raises floats to that power, which strict promotion forbids.
    with jax.numpy_dtype_promotion("standard"):
        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def train_classifier(
    videos: np.ndarray,
    labels: np.ndarray,
    classes: int,
    *,
    steps: int,
    batch_size: int = 64,
    seed: int = 0,
    model: ClipClassifier | None = None,
) -> "Classifier":
    """Trains a `ClipClassifier` with Adam on a cosine schedule.

    Args:
      videos: uint8 [N, T, H, W, 3].
      labels: int [N] in [0, classes).
      steps, batch_size: of the training; clips are drawn with replacement.
      model: another network than `ClipClassifier(classes)`.
    """
    model = ClipClassifier(classes) if model is None else model
    optimizer = optax.adam(optax.cosine_decay_schedule(3e-3, steps))
    params = model.init(jax.random.key(seed), jnp.zeros((1, *videos.shape[1:])))["params"]
    opt_state = optimizer.init(params)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        chosen = rng.integers(len(videos), size=batch_size)
        params, opt_state = _train_step(
            model,
            optimizer,
            params,
            opt_state,
            jnp.asarray(videos[chosen]),
            jnp.asarray(labels[chosen], jnp.int32),
        )
    return Classifier(model, params)


class Classifier:
    """A trained classifier."""

    def __init__(self, model: ClipClassifier, params: PyTree):
        self.model, self.params = model, params
        self._logits = jax.jit(lambda p, x: model.apply({"params": p}, unit_float(x)))

    def predict(self, videos: np.ndarray, batch_size: int = 64) -> np.ndarray:
        """Labels of uint8 [N, T, H, W, 3]: int [N]."""
        return in_batches(lambda x: self._logits(self.params, x), videos, batch_size).argmax(-1)


def in_batches(function: Callable[[Array], Array], videos: np.ndarray, batch_size: int) -> np.ndarray:
    """[N, ...] of a compiled function of [batch_size, T, H, W, 3]; the last batch is filled up and cut."""
    outputs = []
    for start in range(0, len(videos), batch_size):
        chunk = videos[start : start + batch_size]
        # One shape, one compilation.
        filled = np.resize(chunk, (batch_size, *videos.shape[1:]))
        outputs.append(np.asarray(function(jnp.asarray(filled))[: len(chunk)]))
    return np.concatenate(outputs)
