"""Seconds for one clip of 16x128x128: twelve parallel steps, the autoregressive baseline, the tokenizer apart.

    python tools/bench_decoding.py [--repeats=3] [--tokens=64] [--patience=60] [--dtype=float32] [--tiny] [--json]

The split of thesis Fig. 6.8, with random weights: the B transformer (Tab. 6.1, 87M parameters, one head over 1,024
codes) on 4x16x16 = 1,024 tokens, and 3D-VQ B (magvit/kinetics600:b). The autoregressive transformer has the same
layers; with its cache a step is one token through them, without it the whole sequence is computed for every token.

Everything is compiled and run once before it is timed; each repeat has another label and other random keys; a row is
the median of its repeats. Token by token, `--tokens` tokens are timed first. Every token costs the same, because
cache and sequence have their full length from the start, so where the whole would take longer than `--patience`
seconds it is extrapolated from them, and the row says so. `--tiny` only shows that the tool works.
"""

import argparse
import dataclasses
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np

from magvit_jax.cli.config_files import load_config
from magvit_jax.generation import masked
from magvit_jax.generation.masked import Conditions
from magvit_jax.generation.settings import DECODINGS
from magvit_jax.partitioning import unbox
from magvit_jax.sampling import autoregressive
from magvit_jax.systems import video_tokenizer
from magvit_jax.tokenizer.tokenizer import ClipFormat, unboxed_abstract_params
from magvit_jax.tokens import PREFIX_LENGTH, Vocabulary
from magvit_jax.transformer import AutoregressiveTransformer, MaskedTransformer
from magvit_jax.typing import PyTree

SIZE_B = dict(width=768, layers=12, heads=12, mlp_dim=3072)
TINY = dict(width=16, layers=2, heads=2, mlp_dim=32)
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table; `seconds` are for the whole clip, `measured` of `steps` steps were timed."""

    name: str
    steps: int
    measured: int
    seconds: float
    spread: float

    @property
    def extrapolated(self) -> bool:
        return self.measured < self.steps


def timed(name: str, run: Callable[[int], object], repeats: int, steps: int, measured: int) -> Row:
    """The median of `repeats` runs, after one that compiles; `run` takes the number of the repeat."""
    jax.block_until_ready(run(0))
    seconds = []
    for repeat in range(1, repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(run(repeat))
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    return Row(name, steps, measured, median * steps / measured, (max(seconds) - min(seconds)) / median)


def random_params(shapes: PyTree) -> PyTree:
    """Normal with the deviation of the initialisation; the values do not change the time."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(0.02 * rng.standard_normal(x.shape, np.float32)), unbox(shapes))


class Clip:
    """Transformers and tokenizer for the tokens of one clip, and what each way to decode them does."""

    def __init__(self, tiny: bool, dtype: str):
        config = load_config("magvit/kinetics600:b", [f"--config.model.dtype={dtype}"])
        clip = ClipFormat(config.data.frames, config.data.height, config.data.width)
        if tiny:
            config.model.base_channels = config.model.norm_groups = 4
            clip = ClipFormat(clip.frames, 32, 32)
        self.pixels, self.tokenizer = clip.shape, video_tokenizer.build_model(config.model)
        self.grid = self.tokenizer.latent_shape(*clip.shape)
        self.tokens = int(np.prod(self.grid))
        self.vocabulary = Vocabulary(self.tokenizer.codebook_size, num_classes=101, tasks=("class_conditional",))
        fields = dict(
            codes=self.vocabulary.codes,
            num_special=self.vocabulary.num_special,
            factors=1,
            max_length=PREFIX_LENGTH + self.tokens,
            dtype=DTYPES[dtype],
            **(TINY if tiny else SIZE_B),
        )
        self.masked, self.causal = MaskedTransformer(**fields), AutoregressiveTransformer(**fields)
        ids = jax.ShapeDtypeStruct((1, PREFIX_LENGTH + self.tokens), jnp.int32)
        # The parameters of both have the same names and shapes.
        self.params = random_params(jax.eval_shape(self.masked.init, jax.random.key(0), ids)["params"])
        self.tokenizer_params = random_params(unboxed_abstract_params(self.tokenizer, clip))

    def parallel(self) -> Callable[[int], object]:
        decoding = DECODINGS["magvit"]

        @jax.jit
        def run(params, label_B, keys_B):
            nothing_BN = jnp.zeros((1, self.tokens), jnp.int32)
            conditions = Conditions(
                prompt_B=jnp.zeros((1,), jnp.int32),
                label_B=label_B,
                condition_BN=nothing_BN,
                region_BN=nothing_BN > 0,
                keep_B=jnp.zeros((1,), bool),
                keys_B=keys_B,
            )
            return masked.generate_ids(self.masked, params, self.vocabulary, decoding, conditions)

        return lambda repeat: run(self.params, *self._fresh(repeat))

    def tokenwise(self, cached: bool, count: int) -> Callable[[int], object]:
        """The first `count` tokens, with a cache or a sequence of full length."""

        @jax.jit
        def run(params, label_B, keys_B):
            prefix_B2 = self.vocabulary.prefix(jnp.zeros((1,), jnp.int32), label_B)

            def prefill(unconditional_B):
                return self.causal.apply({"params": params}, prefix_B2, self.tokens, method="prefill")

            def step(ids_B, cache, index):
                return self.causal.apply({"params": params}, ids_B, cache, method="step")

            def logits(ids_BN, unconditional_B):
                return self.causal.apply({"params": params}, jnp.concatenate([prefix_B2, ids_BN[:, :-1]], axis=1))

            model = (prefill, step) if cached else autoregressive.recompute(logits, self.tokens)
            return autoregressive.decode(*model, num_tokens=count, keys_B=keys_B)

        return lambda repeat: run(self.params, *self._fresh(repeat))

    def pixels_of_ids(self) -> Callable[[int], object]:
        run = jax.jit(
            lambda params, ids_Bthw: self.tokenizer.apply({"params": params}, ids_Bthw, method="decode_from_ids")
        )
        codes = self.vocabulary.codes
        return lambda repeat: run(
            self.tokenizer_params,
            np.random.default_rng(repeat).integers(0, codes, (1, *self.grid), dtype=np.int32),
        )

    def _fresh(self, repeat: int):
        return jnp.full((1,), repeat % 101, jnp.int32), jax.random.split(jax.random.key(repeat), 1)


def measure(clip: Clip, repeats: int, tokens: int, patience: float) -> list[Row]:
    steps = DECODINGS["magvit"].steps
    rows = [timed(f"{steps} parallel steps", clip.parallel(), repeats, steps, steps)]
    for name, cached in (("autoregressive, cache", True), ("autoregressive, no cache", False)):
        part = min(tokens, clip.tokens)
        row = timed(name, clip.tokenwise(cached, part), repeats, clip.tokens, part)
        if row.extrapolated and row.seconds <= patience:
            row = timed(name, clip.tokenwise(cached, clip.tokens), repeats, clip.tokens, clip.tokens)
        rows.append(row)
    rows.append(timed("tokenizer decode (3D-VQ B)", clip.pixels_of_ids(), repeats, 1, 1))
    return rows


def print_table(rows: list[Row], frames: int) -> None:
    print(f"{'':28}{'steps':>6}{'seconds':>10}{'frames/s':>10}{'times':>8}{'spread':>8}")
    for row in rows:
        how = f"  extrapolated from {row.measured} tokens" if row.extrapolated else ""
        print(
            f"{row.name:28}{row.steps:6}{row.seconds:10.2f}{frames / row.seconds:10.2f}"
            f"{row.seconds / rows[0].seconds:8.2f}{row.spread:8.0%}{how}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="of each row, after one that compiles (default: 3)")
    parser.add_argument("--tokens", type=int, default=64, help="timed first, one by one (default: 64)")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds; what takes longer is extrapolated")
    parser.add_argument("--dtype", choices=tuple(DTYPES), default="float32")
    parser.add_argument("--tiny", action="store_true", help="a small model and clip, to see that it works")
    parser.add_argument("--json", action="store_true", help="one JSON object a row instead of the table")
    flags = parser.parse_args()
    if flags.repeats < 1 or flags.tokens < 1:
        parser.error(f"--repeats={flags.repeats} --tokens={flags.tokens}: expected 1 or more of both")
    clip = Clip(flags.tiny, flags.dtype)
    count = sum(x.size for x in jax.tree.leaves(clip.params))
    rows = measure(clip, flags.repeats, flags.tokens, flags.patience)
    if flags.json:
        for row in rows:
            fields = dataclasses.asdict(row) | dict(extrapolated=row.extrapolated, dtype=flags.dtype, tiny=flags.tiny)
            print(json.dumps(fields))
        return
    device = jax.devices()[0]
    print(
        f"jax {jax.__version__}, {device.device_kind} ({platform.machine()}), {flags.dtype}; one clip of "
        f"{'x'.join(map(str, clip.pixels))}, {clip.tokens} tokens; transformer of {count / 1e6:.1f}M parameters; "
        f"median of {flags.repeats}"
    )
    print_table(rows, clip.pixels[0])


if __name__ == "__main__":
    main()
