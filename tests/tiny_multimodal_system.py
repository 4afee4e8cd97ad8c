"""VideoPoet's system at its smallest, on tokenizers one can compute by hand, and batches for it. Not a test module."""

import functools

import jax
import numpy as np
from tiny_multimodal import PIXELS, RATE, SAMPLES, SLOTS, WORDS, BrightnessTokenizer, LevelCodec, loud

from magvit_jax import systems
from magvit_jax.cli.config_files import load_config
from magvit_jax.systems.multimodal_lm import MultimodalState
from magvit_jax.tokenizer.sound_tokenizer import SoundTokenizer
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer
from magvit_jax.tokens.videopoet import SEQUENCE_TASKS
from magvit_jax.training.state import LoopState, TrainState

EVERY = tuple(f"tasks.{name}.weight=1.0" for name in SEQUENCE_TASKS)
SHRUNK = (
    *(f"data.{name}={size}" for name, size in zip(("frames", "height", "width"), PIXELS, strict=True)),
    f"data.sample_rate={RATE}",
    f"data.samples={9 * SAMPLES}",
    "data.batch_size=8",
    f"vocabulary.resolutions=(({PIXELS[1]},{PIXELS[2]}),)",
    f"text.slots={SLOTS}",
    "model.width=16",
    "model.layers=1",
    "model.heads=2",
    "model.kv_heads=2",
    "model.head_width=8",
    "model.mlp_dim=24",
    "loss.chunk=16",
    "training.ema_decay=0.0",
    "optimizer.warmup_steps=0",
)


class NoParams:
    """A tokenizer whose network has no parameters."""

    def abstract_params(self):
        return {}


class Visual(NoParams, Tokenizer):
    """The brightness of pixels."""


class Audible(NoParams, SoundTokenizer):
    """The level of a sound."""


VISUAL = Visual(BrightnessTokenizer(), {}, ClipFormat(*PIXELS))
AUDIBLE = Audible(LevelCodec(), {}, RATE, "levels")


def config_of(*overrides, variant="clips"):
    """The small config shrunk further; every task where nothing else is said, all in one bucket."""
    values = (*SHRUNK, "buckets=()", *overrides)
    return load_config(f"videopoet/small:{variant}", [f"--config.{value}" for value in values])


def build(config, sound=True, words=WORDS):
    words = words if config.text.kind == "words" else None
    return systems.build(config, tokenizer=VISUAL, sound=AUDIBLE if sound else None, words=words)


@functools.cache
def params_of(system):
    """Random in every array, norms included."""
    return loud(system.abstract_params(), 3)


def state_of(system):
    """Of these parameters."""
    abstract = jax.eval_shape(system.init, jax.random.key(0))
    train = TrainState.create(params_of(system), system.optimizer, system.ema_decay)
    return MultimodalState(train, jax.tree.map(lambda x: x, abstract.frozen))


def loop_state_of(system):
    return LoopState.create(state_of(system))


def batch_of(size=8, seed=0, silent=()):
    """Clips with sound, text of 0 to 4 words, flow and depth; the sound of those numbers is missing."""
    rng = np.random.default_rng(seed)
    frames, height, width = PIXELS

    def video(frames=frames):
        cells = rng.integers(0, 256, (size, frames, height // 4, width // 4, 3))
        return cells.repeat(4, axis=2).repeat(4, axis=3).astype(np.uint8)

    batch = {name: video() for name in ("video", "flow", "depth")}
    batch["audio"] = rng.uniform(-1, 1, (size, 9)).repeat(SAMPLES, axis=1).astype(np.float32)
    batch["has_audio"] = ~np.isin(np.arange(size), silent)
    batch["audio"][~batch["has_audio"]] = 0.0
    return batch | texts(rng, size)


def images_of(size, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (size, 1, 2, 2, 3)).repeat(4, axis=2).repeat(4, axis=3).astype(np.uint8)
    return {"image": image} | texts(rng, size)


def texts(rng, size):
    return {
        "text_ids": rng.integers(0, WORDS.size, (size, SLOTS)).astype(np.int32),
        "text_count": rng.integers(0, SLOTS + 1, size).astype(np.int32),
        "index": rng.integers(0, 2**32, size, dtype=np.uint32),
    }
