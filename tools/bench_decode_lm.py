"""Tokens a second of VideoPoet's transformer, with its cache and without, beside a Hugging Face Llama of the same size.

    python tools/bench_decode_lm.py [--size=34m|2m|10m|103m] [--prefix=64] [--tokens=96] [--batch=1] [--rounds=3]

Needs torch and transformers (the extra `oracles`). Both sides have the same parameters and make the same greedy tokens:
logits that differ by more than 1e-3 of their largest value are an error. They take turns after a warm-up that compiles;
printed are medians over the rounds. Ours is one jitted program for all tokens; theirs is `generate` with its own cache,
or without.

The bound is what reading every parameter, and the keys and values so far, once a token takes at the bandwidth of a copy
of a large array by the same number of threads (bytes read and bytes written both count). Only a share of it can be
reached, and caches of the processor can exceed it where a model fits into them.
"""

import argparse
import functools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch_llama

from magvit_jax.generation.multimodal import blank_sequences
from magvit_jax.generation.multimodal_ids import with_outputs
from magvit_jax.partitioning import unbox
from magvit_jax.sampling import autoregressive
from magvit_jax.tokens.videopoet import Sequences
from magvit_jax.transformer.multimodal import MultimodalTransformer
from magvit_jax.typing import Array, PyTree

SHARED = dict(text_width=0, dtype=jnp.float32, scan_layers=False, remat="none")
#: Parameters about; the vocabularies are smaller than the published one, which would be most of such small models.
SIZES = {
    "2m": dict(vocabulary_size=4096, width=160, layers=4, heads=5, kv_heads=5, head_width=32, mlp_dim=432),
    "10m": dict(vocabulary_size=8192, width=320, layers=6, heads=5, kv_heads=5, head_width=64, mlp_dim=880),
    "34m": dict(vocabulary_size=16384, width=512, layers=8, heads=8, kv_heads=8, head_width=64, mlp_dim=1408),
    "103m": dict(vocabulary_size=32768, width=768, layers=11, heads=12, kv_heads=12, head_width=64, mlp_dim=2048),
}
TOLERANCE = 1e-3
COPY_BYTES = 1 << 28
PAUSE_S = 0.05  # between two turns: the threads of the one before must have gone to sleep


def random_params(module: MultimodalTransformer) -> PyTree:
    """As initialised, but for the embedding: larger, so that the likeliest token is likeliest by far."""
    params = unbox(module.init(jax.random.key(0), blank_sequences(), None)["params"])
    params["embedding"]["code_embedding"] = 30 * params["embedding"]["code_embedding"]
    return params


def prefix_of(ids_BL: Array) -> Sequences:
    """A prefix of these ids, causal but for its first column."""
    nothing_BL = jnp.zeros_like(ids_BL)
    return Sequences(
        ids_BL=ids_BL,
        position_BL=nothing_BL + jnp.arange(ids_BL.shape[1])[None],
        segment_BL=nothing_BL + 1,
        prefix_B=jnp.ones((ids_BL.shape[0],), jnp.int32),
        target_BL=nothing_BL,
        is_target_BL=nothing_BL > 0,
        allowed_BL2=jnp.zeros((*ids_BL.shape, 2), jnp.int32),
        text_slot_BL=nothing_BL - 1,
    )


def ours(module: MultimodalTransformer, tokens: int, cached: bool) -> Callable[[PyTree, Array], Array]:
    """(parameters, ids of the prefix [B, P]) -> the likeliest `tokens` ids after them, [B, N]."""

    @jax.jit
    def run(params, ids_BL):
        prefix, apply = prefix_of(ids_BL), functools.partial(module.apply, {"params": params})

        def logits(ids_BN, unconditional_B):
            logits_BLV = apply(with_outputs(prefix, ids_BN[:, :-1]), None)
            return logits_BLV[:, ids_BL.shape[1] - 1 :, None]

        model = (
            lambda unconditional_B: apply(prefix, None, tokens, method="prefill"),
            lambda ids_B, cache, index: apply(ids_B, cache, method="step"),
        )
        if not cached:
            model = autoregressive.recompute(logits, tokens)
        keys_B = jax.random.split(jax.random.key(0), ids_BL.shape[0])
        return autoregressive.decode(*model, num_tokens=tokens, keys_B=keys_B, temperature=0.0)

    return lambda params, ids_BL: np.asarray(run(params, ids_BL))


def theirs(peer, tokens: int, cached: bool) -> Callable[[np.ndarray], np.ndarray]:
    """As `ours`, by `generate`."""

    @torch.inference_mode()
    def run(ids_BL):
        ids_BL = torch.from_numpy(np.asarray(ids_BL, np.int64))
        settings = dict(do_sample=False, max_new_tokens=tokens, min_new_tokens=tokens, use_cache=cached)
        found = peer.generate(ids_BL, attention_mask=torch.ones_like(ids_BL), **settings)
        return found[:, ids_BL.shape[1] :].numpy()

    return run


def require_same(module, params, peer, ids_BL) -> None:
    """Exits where the logits of the prefix differ."""
    mine = np.asarray(jax.jit(lambda p, ids: module.apply({"params": p}, prefix_of(ids), None))(params, ids_BL))
    with torch.inference_mode():
        other = peer(torch.from_numpy(np.asarray(ids_BL, np.int64))).logits.numpy()
    worst = np.abs(mine - other).max() / np.abs(other).max()
    if worst > TOLERANCE:
        raise SystemExit(f"logits differ by {worst:.2g} of their largest value: expected the same network")


def copy_bandwidth(threads: int) -> float:
    """Bytes a second, read and written, of a copy of `COPY_BYTES`; the best of several."""
    torch.set_num_threads(threads)
    source = torch.ones(COPY_BYTES // 4)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(7):
        begin = time.perf_counter()
        target.copy_(source)
        seconds.append(time.perf_counter() - begin)
    return 2 * COPY_BYTES / min(seconds)


def token_bytes(module: MultimodalTransformer, params: PyTree, prefix: int, tokens: int, batch: int) -> float:
    """Bytes that a step has to read: all parameters, and keys and values of half of the outputs, on average."""
    parameters = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(params))
    position = 2 * module.layers * module.kv_heads * module.head_width * jnp.dtype(module.dtype).itemsize
    return parameters + batch * position * (prefix + tokens / 2)


def measure(module, params, peer, ids_BL, tokens: int, rounds: int) -> dict[str, float]:
    """Tokens a second by name, the median of the rounds; all of them take turns."""
    runs = {}
    for cached in (True, False):
        name = "cache" if cached else "no cache"
        runs[f"ours, {name}"] = functools.partial(ours(module, tokens, cached), params, ids_BL)
        runs[f"Llama, {name}"] = functools.partial(theirs(peer, tokens, cached), ids_BL)
    made = {name: run() for name, run in runs.items()}
    first = made["ours, cache"]
    for name, ids_BN in made.items():
        if not np.array_equal(ids_BN, first):
            raise SystemExit(f"{name}: other tokens than with our cache from place {np.argmax(ids_BN != first)} on")
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            time.sleep(PAUSE_S)
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
    return {name: tokens * len(ids_BL) / statistics.median(found) for name, found in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=tuple(SIZES), default="34m", help="parameters about (default: 34m)")
    for name, default in (("prefix", 64), ("tokens", 96), ("batch", 1), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    flags = parser.parse_args()
    if min(flags.prefix, flags.batch, flags.rounds) < 1 or flags.tokens < 2:
        parser.error("--prefix, --batch, --rounds: expected 1 or more; --tokens: 2 or more")
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    module = MultimodalTransformer(**SHARED, **SIZES[flags.size])
    params, peer = random_params(module), torch_llama.llama(module, flags.prefix + flags.tokens)
    torch_llama.load(peer, module, params)
    shape = (flags.batch, flags.prefix)
    ids_BL = jnp.asarray(np.random.default_rng(0).integers(0, module.vocabulary_size, shape), jnp.int32)
    require_same(module, params, peer, ids_BL)
    rates = measure(module, params, peer, ids_BL, flags.tokens, flags.rounds)
    bandwidth = copy_bandwidth(threads)
    bound = flags.batch * bandwidth / token_bytes(module, params, flags.prefix, flags.tokens, flags.batch)
    count = sum(x.size for x in jax.tree.leaves(params))
    if flags.json:
        print(json.dumps(dict(vars(flags), parameters=count, bytes_a_second=bandwidth, bound=bound, rates=rates)))
        return
    print(
        f"{count / 1e6:.1f}M parameters, float32, prefix {flags.prefix}, {flags.tokens} tokens, batch {flags.batch}, "
        f"{threads} threads; copy {bandwidth / 1e9:.1f} GB/s: at most {bound:.1f} tokens/s"
    )
    print(f"{'':20}{'tokens/s':>10}{'of bound':>10}{'of ours':>9}")
    for name, rate in rates.items():
        print(f"{name:20}{rate:10.1f}{rate / bound:10.0%}{rate / rates['ours, cache']:9.2f}")


if __name__ == "__main__":
    main()
