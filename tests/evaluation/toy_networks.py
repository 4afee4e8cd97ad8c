"""Small networks in the place of the published ones. Not a test module: conftest.py makes it importable."""

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.evaluation.networks import MetricNetwork

WIDTH = 6


def params(features=WIDTH, seed=0):
    rng = np.random.default_rng(seed)
    return {"kernel": jnp.asarray(rng.normal(size=(12, features)), jnp.float32)}


def describe(video_BTHWC):
    """Twelve numbers of a clip: means and spreads over space of three instants' differences and the whole."""
    x = video_BTHWC.astype(jnp.float32) / 255
    still, moving = x.mean(axis=(1, 2, 3)), jnp.abs(x[:, 1:] - x[:, :-1]).mean(axis=(1, 2, 3))
    spread, last = x.std(axis=(1, 2, 3)), x[:, -1].mean(axis=(1, 2))
    return jnp.concatenate([still, moving, spread, last], axis=-1)


def of_clips(name="i3d"):
    """Logits and pooled features of clips."""

    def function(params, video_BTHWC):
        features = describe(video_BTHWC) @ params["kernel"]
        return {"logits": features, "logits_unbiased": features, "pooled": jnp.tanh(features)}

    return MetricNetwork(name, f"toy-{name}", params(seed=len(name)), function)


def of_pairs(name="lpips_vgg"):
    """A distance of two clips."""

    def function(params, a, b):
        difference = describe(a) - describe(b)
        return {"distance": jnp.square(difference @ params["kernel"]).sum(axis=-1)}

    return MetricNetwork(name, f"toy-{name}", params(), function)


def of_texts(name="clip_vit_b16"):
    """Image features of every frame and features of texts; prepared on the host."""

    def prepare(video_BTHWC):
        return (np.asarray(video_BTHWC, np.float32) / 255,)

    def function(params, frames_BTHWC):
        return {"frames": frames_BTHWC.mean(axis=(2, 3)) + 0.1}

    def texts(words):
        return np.float32([[len(word), word.count("a") + 1, 1.0] for word in words])

    return MetricNetwork(name, f"toy-{name}", {"none": jnp.zeros(())}, function, prepare, texts)


def all_of_them():
    names = ("i3d", "c3d_ucf101", "inception")
    return {name: of_clips(name) for name in names} | {"lpips_vgg": of_pairs(), "clip_vit_b16": of_texts()}


def clips(count, frames=4, side=16, seed=0):
    """Noise whose brightness and pace differ from clip to clip, uint8 [N, T, H, W, 3]."""
    rng = np.random.default_rng(seed)
    base = rng.integers(20, 200, size=(count, 1, 1, 1, 3))
    pace = rng.integers(0, 12, size=(count, 1, 1, 1, 1)) * np.arange(frames).reshape(1, -1, 1, 1, 1)
    return np.clip(base + pace + rng.integers(0, 30, size=(count, frames, side, side, 3)), 0, 255).astype(np.uint8)


def reference(network, *inputs):
    """All at once on one device."""
    return {name: np.asarray(x) for name, x in jax.jit(network.apply)(network.params, *inputs).items()}
