"""LFQ's entropy penalty beside vector-quantize-pytorch's LFQ, value and gradient: time and memory a token.

  python tools/bench_lfq.py [--bits=18] [--ours=1280] [--theirs=64] [--rounds=5] [--clock=cpu] [--json]

`pip install torch vector-quantize-pytorch` first. Both take turns in one process, on as many tokens as given:
theirs makes a table of all codes for every token, so it is given fewer. Memory is measured in a fresh process
each: how far one pass lifts the peak of the resident memory above what was resident just before it (Linux).
Ours is compiled before that, so it is counted from the compiler's temporaries and the results where those say
more.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
TEMPERATURE = 0.01


def ours(bits: int, tokens: int) -> tuple[Callable[[], object], int]:
    """A pass of penalty and gradient, and the bytes that the compiler says it needs beside its input."""
    import jax

    from magvit_jax import ops

    def penalty(z_NK):
        sample, mean = ops.lfq_entropy(z_NK, TEMPERATURE)
        return sample - mean

    z_NK = 0.05 * jax.random.normal(jax.random.key(0), (tokens, bits))
    compiled = jax.jit(jax.value_and_grad(penalty)).lower(z_NK).compile()
    memory = compiled.memory_analysis()
    jax.block_until_ready(compiled(z_NK))
    return lambda: jax.block_until_ready(compiled(z_NK)), int(
        memory.temp_size_in_bytes + memory.output_size_in_bytes
    )


def theirs(bits: int, tokens: int) -> tuple[Callable[[], object], int]:
    """The same of `LFQ`, whose auxiliary loss is the same penalty."""
    import torch
    from vector_quantize_pytorch import LFQ

    torch.manual_seed(0)
    lfq = LFQ(dim=bits, codebook_size=2**bits, entropy_loss_weight=1.0, commitment_loss_weight=0.0)
    lfq.train()
    z_1NK = (0.05 * torch.randn(1, tokens, bits)).requires_grad_()

    def run():
        z_1NK.grad = None
        lfq(z_1NK, inv_temperature=1.0 / TEMPERATURE)[2].backward()
        return z_1NK.grad

    return run, 0


SIDES = {"ours": ours, "theirs": theirs}


def peak_of_one_pass(side: str, bits: int, tokens: int) -> int:
    """Bytes by which a pass lifts the peak of resident memory, or those that it is known to need."""
    run, known = SIDES[side](bits, tokens)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = _status("VmRSS")
    run()
    return max(known, _status("VmHWM") - before)


def _status(field: str) -> int:
    return 1024 * int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text()).group(1))


def peak_in_a_process(side: str, bits: int, tokens: int) -> int:
    command = [sys.executable, __file__, f"--memory-of={side}", f"--bits={bits}", f"--{side}={tokens}"]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def measure(bits: int, tokens: dict[str, int], rounds: int, clock: Callable[[], float]) -> list[dict]:
    memory = {side: peak_in_a_process(side, bits, count) for side, count in tokens.items()}
    runs = {side: SIDES[side](bits, count)[0] for side, count in tokens.items()}
    seconds = {side: [] for side in runs}
    for turn in range(rounds + 1):
        for side, run in runs.items():
            start = clock()
            run()
            if turn:  # the first one warms up
                seconds[side].append(clock() - start)
    rows = []
    for side, taken in seconds.items():
        low, _, high = statistics.quantiles(taken, n=4)
        median = statistics.median(taken)
        rows.append({
            "side": side,
            "bits": bits,
            "tokens": tokens[side],
            "ms": 1e3 * median,
            "us_per_token": 1e6 * median / tokens[side],
            "spread": (high - low) / median,
            "peak_bytes": memory[side],
            "bytes_per_token": memory[side] / tokens[side],
        })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bits", type=int, default=18)
    parser.add_argument("--ours", type=int, default=1280, help="tokens of one pass of ours")
    parser.add_argument("--theirs", type=int, default=64, help="tokens of one pass of theirs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall")
    parser.add_argument("--json", action="store_true", help="one JSON object a row instead of the table")
    parser.add_argument("--memory-of", choices=tuple(SIDES), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    tokens = {"ours": flags.ours, "theirs": flags.theirs}
    if flags.memory_of:
        print(peak_of_one_pass(flags.memory_of, flags.bits, tokens[flags.memory_of]))
        return

    rows = measure(flags.bits, tokens, flags.rounds, CLOCKS[flags.clock])
    if flags.json:
        print("\n".join(json.dumps({**row, "clock": flags.clock}) for row in rows))
        return
    print(f"LFQ penalty and gradient, 2^{flags.bits} codes, {flags.clock} clock, median of {flags.rounds}")
    print(f"{'':8}  tokens        ms   us a token   spread   peak MiB   KiB a token")
    for row in rows:
        print(
            f"{row['side']:8}{row['tokens']:8}{row['ms']:10.1f}{row['us_per_token']:13.1f}"
            f"{row['spread']:9.0%}{row['peak_bytes'] / 2**20:11.1f}{row['bytes_per_token'] / 1024:14.1f}"
        )
    mine, peer = rows
    print(
        f"theirs / ours, a token: time {peer['us_per_token'] / mine['us_per_token']:.0f},"
        f" memory {peer['bytes_per_token'] / mine['bytes_per_token']:.0f}"
    )


if __name__ == "__main__":
    main()
