"""A small classifier of clips, trained where it is used: it needs no weights from anywhere.

It recognises what generated clips show. Trained on a tokenizer's reconstructions of real clips, it judges generated
clips by their content and not by the tokenizer's artefacts.
"""

import functools
from collections.abc import Iterator

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from magvit_jax import ops
from magvit_jax.typing import Array, PyTree


class ClipClassifier(nn.Module):
    """Strided 3D convolutions and a linear layer on clips of one shape.

    Attributes:
      classes: number of labels.
      widths: channels of the convolutions, each of stride 2 in time and space.
    """

    classes: int
    widths: tuple[int, ...] = (24, 48, 96)

    @nn.compact
    def __call__(self, video_BTHWC: Array) -> Array:
        """Float pixels in [0, 1], [B, T, H, W, 3], to logits [B, classes]."""
        half = (1, 2, 2)
        x = nn.pool(video_BTHWC, 0.0, jax.lax.add, half, half, "VALID") / 2.0 - 1.0
        for i, width in enumerate(self.widths):
            shape = (3, 3, 3, x.shape[-1], width)
            kernel = self.param(
                f"kernel{i}", nn.initializers.he_normal(in_axis=(0, 1, 2, 3), out_axis=4), shape
            )
            x = ops.causal_conv3d(x, kernel, strides=(2, 2, 2))
            x = nn.relu(nn.GroupNorm(num_groups=8, name=f"norm{i}")(x))
        return nn.Dense(self.classes, name="logits")(x.reshape(x.shape[0], -1))


@functools.partial(jax.jit, static_argnames=("model", "optimizer"), donate_argnums=(2, 3))
def _train_step(model, optimizer, params: PyTree, opt_state: PyTree, video: Array, label: Array):
    def loss(params: PyTree) -> Array:
        logits = model.apply({"params": params}, video.astype(jnp.float32) / 255.0)
        return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()

    # optax counts in int32 and raises floats to that power, which strict promotion forbids.
    with jax.numpy_dtype_promotion("standard"):
        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def train_classifier(
    videos: np.ndarray, labels: np.ndarray, classes: int, *, steps: int, batch_size: int = 64, seed: int = 0
) -> "Classifier":
    """Trains a `ClipClassifier` with Adam on a cosine schedule.

    Args:
      videos: uint8 [N, T, H, W, 3].
      labels: int [N] in [0, classes).
      steps, batch_size: of the training; clips are drawn with replacement.
    """
    model = ClipClassifier(classes)
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
        self._logits = jax.jit(lambda p, x: model.apply({"params": p}, x.astype(jnp.float32) / 255.0))

    def predict(self, videos: np.ndarray, batch_size: int = 64) -> np.ndarray:
        """Labels of uint8 [N, T, H, W, 3]: int [N]."""
        return np.concatenate([np.asarray(x.argmax(-1)) for x in self._batches(videos, batch_size)])

    def _batches(self, videos: np.ndarray, batch_size: int) -> Iterator[Array]:
        for start in range(0, len(videos), batch_size):
            chunk = videos[start : start + batch_size]
            # One shape, one compilation: the last batch is filled up and cut again.
            filled = np.resize(chunk, (batch_size, *videos.shape[1:]))
            yield self._logits(self.params, jnp.asarray(filled))[: len(chunk)]
