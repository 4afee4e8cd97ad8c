"""Generators of random weights that several test folders share: any tokenizer, any tasks, nothing trained.

Not a test module: a folder's conftest.py makes it importable.
"""

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.generation.generator import Generator
from magvit_jax.generation.settings import Decoding
from magvit_jax.partitioning import unbox
from magvit_jax.tokenizer.magvit import Magvit
from magvit_jax.tokenizer.magvit2 import MagvitV2
from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer, unboxed_abstract_params
from magvit_jax.tokens import PREFIX_LENGTH, TaskMixture, Vocabulary, build_task, latent_grid
from magvit_jax.transformer import MaskedTransformer

BITS = 6
HALF = dict(window="analytic")
TASKS = {
    "central_inpainting": dict(height=0.5, width=0.5, padding="zero", **HALF),
    "central_outpainting": dict(height=0.5, width=0.5, padding="edge", **HALF),
    "class_conditional": {},
    "class_conditional_frame_prediction": dict(frames=1, padding="last"),
    "dynamic_inpainting": dict(height=0.5, width=0.5, direction="left_to_right", padding="zero", **HALF),
    "dynamic_outpainting": dict(width=0.5, direction="left_to_right", padding="zero", **HALF),
    "frame_interpolation": dict(frames=1, frames_end=1, padding="linear"),
    "frame_prediction": dict(frames=5, padding="last"),
    "horizontal_outpainting": dict(height=0.5, padding="edge", **HALF),
    "vertical_outpainting": dict(width=0.5, padding="edge", **HALF),
}
CLIPS = {"causal": (9, 16, 16), "windows": (8, 16, 16), "frames": (8, 16, 16), "image": (1, 16, 16)}
DECODING = Decoding(steps=3, schedule="cosine", temperature=4.5, sampling_temperature=1.0, guidance_scale=0.0)


def tokenizer(kind):
    """`causal`: 3x4x4 latents of 9 frames (v2). `windows`: 2x4x4 of 8, not causal (3D-VQ). `frames`: 8x4x4 of 8,
    each frame by itself (2D-VQ). `image`: 1x4x4 of one frame, the same network as `frames`."""
    shared = dict(blocks=1, mid_blocks=0, quantizer=LookupFreeQuantizer(BITS), norm_groups=2)
    if kind == "causal":
        model = MagvitV2(
            base_channels=4,
            channel_multipliers=(1, 1, 1),
            strides=((2, 2, 2), (2, 2, 2)),
            adaptive_norm="none",
            **shared,
        )
    else:
        dims = 3 if kind == "windows" else 2
        model = Magvit(
            base_channels=4,
            channel_multipliers=(1, 1, 1),
            temporal_downsample=(dims == 3,) * 2,
            dims=dims,
            padding="zeros",
            statistics="clip" if dims == 3 else "frame",
            **shared,
        )
    clip = CLIPS[kind]
    shapes = unboxed_abstract_params(model, ClipFormat(*clip))
    return Tokenizer(model, _loud(shapes, 0), ClipFormat(*clip), fingerprint=f"tiny_{kind}")


def generator(kind="causal", tasks=tuple(TASKS), classes=3, decoding=DECODING, **fields):
    """A generator of the `TASKS` of these names. Its transformer's weights are so large that a token depends on all
    tokens, and that no two ids are nearly as likely."""
    clip = ClipFormat(*CLIPS[kind])
    its_tokenizer = tokenizer(kind)
    grid = latent_grid(its_tokenizer.model, clip.shape)
    names = tuple(sorted(tasks))
    vocabulary = Vocabulary(codes=2**BITS, num_classes=classes, tasks=names)
    mixture = TaskMixture(tuple(build_task(name, TASKS[name]) for name in names), (1.0,) * len(names), grid)
    transformer = MaskedTransformer(
        codes=vocabulary.codes,
        num_special=vocabulary.num_special,
        factors=2,
        width=16,
        layers=1,
        heads=2,
        mlp_dim=32,
        max_length=PREFIX_LENGTH + grid.num_tokens,
        norm="pre",
    )
    ids = jax.ShapeDtypeStruct((1, PREFIX_LENGTH + grid.num_tokens), jnp.int32)
    shapes = jax.eval_shape(transformer.init, jax.eval_shape(lambda: jax.random.key(0)), ids)["params"]
    return Generator(
        transformer=transformer,
        params=_loud(unbox(shapes), 1),
        tokenizer=its_tokenizer,
        vocabulary=vocabulary,
        mixture=mixture,
        decoding={name: decoding for name in names},
        clip=clip,
        class_names=tuple(f"class{i}" for i in range(classes)),
        fingerprint="tiny",
        **fields,
    )


def _loud(shapes, seed):
    """Parameters under which an output depends on every input: no bias, and kernels of thrice the usual size."""
    rng = np.random.default_rng(seed)

    def draw(path, x):
        name = path[-1].key
        if name in ("scale", "bias"):
            return jnp.full(x.shape, name == "scale", x.dtype)
        inputs = x.shape[0] if x.ndim < 4 else np.prod(x.shape[:-1])
        spread = 1.0 if name.endswith("embedding") else 3.0 * inputs**-0.5
        return jnp.asarray(rng.normal(0.0, spread, x.shape), x.dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def video(kind="causal", clips=2, seed=0):
    """Smooth moving clips uint8 [B, T, H, W, 3], every pixel of which differs from its neighbours'."""
    rng = np.random.default_rng(seed)
    frames, height, width = CLIPS[kind]
    small = rng.integers(0, 256, (clips, frames, height // 4, width // 4, 3))
    large = small.repeat(4, axis=2).repeat(4, axis=3)
    return np.clip(large + rng.integers(-20, 20, large.shape), 0, 255).astype(np.uint8)
