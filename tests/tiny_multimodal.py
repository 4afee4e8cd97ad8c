"""A multimodal generator that several test folders share: a random transformer on tokenizers one can compute by hand.

Clips of 9 frames of 8x8 at 8 a second, 3x2x2 visual tokens; sound of 8,000 Hz, 9 latents of 2 levels. Not a test
module: a folder's conftest.py makes it importable.
"""

import copy
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.generation.autoregressive import TokenwiseDecoding
from magvit_jax.generation.multimodal import MultimodalGenerator, blank_sequences
from magvit_jax.generation.multimodal_chain import arguments_of
from magvit_jax.generation.prompts import EmbeddedPrompts, WordPrompts
from magvit_jax.partitioning import unbox
from magvit_jax.tokenizer.sound_tokenizer import SoundTokenizer
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer
from magvit_jax.tokens import build_task
from magvit_jax.tokens.grid import latent_grid
from magvit_jax.tokens.videopoet import SEQUENCE_TASKS, ClipShape, UnifiedVocabulary, Words
from magvit_jax.transformer.multimodal import MultimodalTransformer

PIXELS = (9, 8, 8)
RATE, SAMPLES = 8000, 1000  # Hz, samples a latent
WORDS = Words(("a", "digit", "moves", "left", "right", "up"))
SLOTS = 4
TASKS = tuple(SEQUENCE_TASKS)
DECODING = TokenwiseDecoding(temperature=1.0, top_k=0, top_p=1.0, guidance_scale=0.0, cached=True)
TEXT_WIDTH = 5
WINDOW = dict(window="supervoxel")


class BrightnessTokenizer(nn.Module):
    """A token is the mean of its 4x4 pixels and 4 frames, in 64 steps; the first frame has its own."""

    codebook_size = 64
    compression = (4, 4, 4)
    leading_frame = True
    causal = True
    streams = False

    def latent_shape(self, frames, height, width):
        return 1 + frames // 4, height // 4, width // 4

    def encode_to_ids(self, video_BTHWC):
        batch, frames, height, width, _ = video_BTHWC.shape
        video_BTHWC = jnp.concatenate([jnp.repeat(video_BTHWC[:, :1], 3, axis=1), video_BTHWC], axis=1)
        cells = video_BTHWC.reshape(batch, -1, 4, height // 4, 4, width // 4, 4, 3)
        return jnp.clip(jnp.floor(cells.mean(axis=(2, 4, 6, 7)) * 64), 0, 63).astype(jnp.int32)

    def decode_from_ids(self, ids_Bthw):
        grey = (ids_Bthw.astype(jnp.float32) + 0.5) / 64
        for axis in (1, 2, 3):
            grey = jnp.repeat(grey, 4, axis=axis)
        return jnp.repeat(grey[:, 3:, :, :, None], 3, axis=-1)


class LevelCodec(nn.Module):
    """A latent is the mean of 1,000 samples, in 8 steps and in 8 of each of those."""

    samples_per_latent = SAMPLES
    levels = 2
    codebook_size = 8
    streams = False

    def encode_to_ids(self, audio_BS):
        mean_Bf = audio_BS.reshape(audio_BS.shape[0], -1, SAMPLES).mean(axis=2)
        step_Bf = jnp.clip(jnp.floor((mean_Bf + 1) * 32), 0, 63).astype(jnp.int32)
        return jnp.stack([step_Bf // 8, step_Bf % 8], axis=-1)

    def decode_from_ids(self, ids_BfQ):
        step_Bf = ids_BfQ[..., 0] * 8 + ids_BfQ[..., 1]
        return jnp.repeat((step_Bf.astype(jnp.float32) + 0.5) / 32 - 1, SAMPLES, axis=1)


def loud(shapes, seed):
    """Parameters under which every output depends on every input, and no two ids are nearly as likely."""
    rng = np.random.default_rng(seed)

    def draw(path, x):
        if path[-1].key in ("scale", "bias"):
            return jnp.full(x.shape, path[-1].key == "scale", x.dtype)
        return jnp.asarray(rng.normal(0.0, 0.7, x.shape), x.dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def embed(texts):
    """Of each word a vector that the text decides."""
    return [np.random.default_rng(list(text.encode())).normal(size=(len(text.split()), TEXT_WIDTH)) for text in texts]


@functools.cache
def generator(tasks=TASKS, text="words", sources=("web", "film"), mesh=None):
    """A `MultimodalGenerator` of these tasks, whose text is known by "words" or by "embeddings". Read only."""
    tokenizer = Tokenizer(BrightnessTokenizer(), {}, ClipFormat(*PIXELS), fingerprint="brightness")
    clip = ClipShape(latent_grid(tokenizer.model, PIXELS), fps=8.0, audio_rate=RATE / SAMPLES, audio_levels=2)
    vocabulary = UnifiedVocabulary(
        visual_codes=64,
        audio_levels=2,
        audio_codes=8,
        text_ids=WORDS.size,
        sources=sources,
        resolutions=((16, 8), PIXELS[1:]),
        durations=(17, PIXELS[0]),
    )
    transformer = MultimodalTransformer(
        vocabulary_size=vocabulary.size,
        text_width=0 if text == "words" else TEXT_WIDTH,
        width=16,
        layers=1,
        heads=2,
        kv_heads=1,
        head_width=8,
        mlp_dim=24,
        dtype=jnp.float32,
        scan_layers=False,
        remat="none",
    )
    prompts = WordPrompts(WORDS, SLOTS) if text == "words" else EmbeddedPrompts(embed, TEXT_WIDTH, SLOTS)
    text = jnp.zeros((1, SLOTS, TEXT_WIDTH)) if transformer.text_width else None
    shapes = jax.eval_shape(transformer.init, jax.random.key(0), blank_sequences(), text)["params"]
    return MultimodalGenerator(
        transformer=transformer,
        params=loud(unbox(shapes), 1),
        tokenizer=tokenizer,
        sound=SoundTokenizer(LevelCodec(), {}, RATE, "levels"),
        vocabulary=vocabulary,
        clip=clip,
        tasks=tasks,
        prompts=prompts,
        painting={
            "inpainting": build_task("central_inpainting", dict(height=0.5, width=0.5, padding="zero", **WINDOW)),
            "outpainting": build_task("vertical_outpainting", dict(width=0.5, padding="edge", **WINDOW)),
        },
        decoding={task: DECODING for task in tasks},
        fingerprint="tiny multimodal",
        mesh=mesh,
    )


class Scripted:
    """In the place of a generator's program: what it is asked for is kept, and what it makes is known.

    Call number n makes the codes `true_codes(batch, n)`.
    """

    def __init__(self):
        self.prefixes, self.plans, self.decodings = [], [], []

    def __call__(self, params, prefixes, plan, decoding):
        codes = true_codes(prefixes.index_B.shape[0], len(self.plans))
        self.prefixes.append(prefixes)
        self.plans.append(plan)
        self.decodings.append(decoding)
        return jnp.asarray(output_ids(plan, codes), jnp.int32)


def output_ids(plan, codes):
    """The ids of a plan's one output, int [B, O], of clips of these codes."""
    parts, vocabulary = [], plan.vocabulary
    for span in plan.layouts[0].output:
        if span.kind == "special":
            parts.append(np.full((len(codes["video"]), 1), span.special))
            continue
        code = np.asarray(codes[span.part.source])[:, span.first : span.last]
        if span.kind == "audio":
            code = np.swapaxes(code, 1, 2) + np.asarray([vocabulary.audio_range(q)[0] for q in range(2)])[None, :, None]
        parts.append(code.reshape(len(code), -1) + (vocabulary.visual_range[0] if span.kind == "visual" else 0))
    return np.concatenate(parts, axis=1)


def true_codes(batch, seed=0):
    """Codes of clips, by source."""
    rng = np.random.default_rng(seed)
    codes = {name: rng.integers(0, 64, (batch, 3, 2, 2)) for name in ("video", "masked", "flow", "depth")}
    codes["audio"] = rng.integers(0, 8, (batch, 9, 2))
    return {name: jnp.asarray(code, jnp.int32) for name, code in codes.items()}


def scripted(**fields):
    """A generator whose program is a `Scripted`, in `.program`."""
    made = copy.copy(generator(**fields))
    made.program = made._decode = Scripted()
    return made


def pixels_of(codes_Bthw):
    """The videos of codes, uint8 [B, T, H, W, 3], which are encoded to them again."""
    video = BrightnessTokenizer().apply({}, jnp.asarray(codes_Bthw), method="decode_from_ids")
    return np.round(np.asarray(video) * 255).astype(np.uint8)


def sound_of(codes_BfQ):
    """The sounds of codes, float32 [B, S]."""
    return np.asarray(LevelCodec().apply({}, jnp.asarray(codes_BfQ), method="decode_from_ids"))


def arguments(task, clips=1, seed=0):
    """What a task needs, of random clips, and a prompt."""
    codes = true_codes(clips, seed)
    there = {name: pixels_of(codes[name]) for name in ("video", "flow", "depth")} | {"audio": sound_of(codes["audio"])}
    given = {name: value for name, value in there.items() if name in arguments_of(task)}
    if task == "frame_prediction":
        given["given"] = 5
    return given | {"prompt": ["a digit moves"] * clips}
