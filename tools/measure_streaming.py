"""Peak memory of long videos through a tokenizer: a process for each length, and how they compare.

    python tools/measure_streaming.py [--frames=256,4096] [--height=240] [--width=432] [--base=8] [--chunk=N] [--files]

The model is the published MAGVIT-v2 (strides, levels) at a small width with random parameters. Each process encodes and
decodes a video that is made up frame by frame, so nothing but the tokenizer takes memory that grows with it. With
--files the video is an mp4, and the process is `magvit reconstruct --whole --stream`: it also decodes and writes files.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main() -> int:
    args = _arguments()
    if args.child:
        _run(args, int(args.frames))
        return 0
    peaks = {}
    for frames in map(int, args.frames.split(",")):
        done = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], f"--frames={frames}", "--child"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        peaks[frames], seconds = map(float, done.stdout.split())
        print(
            f"{frames} frames of {args.height}x{args.width}: peak {peaks[frames]:.0f} MiB, {seconds:.0f} s, "
            f"{frames / seconds:.1f} frames/s",
            flush=True,
        )
    short, long = min(peaks), max(peaks)
    print(f"peak of {long} frames / peak of {short} frames: {peaks[long] / peaks[short]:.3f}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", default="256,4096", help="lengths, comma-separated")
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--width", type=int, default=432)
    parser.add_argument("--base", type=int, default=8, help="channels of the first level")
    parser.add_argument("--chunk", type=int, help="latent frames of a chunk; the library's choice by default")
    parser.add_argument("--files", action="store_true", help="from mp4 to mp4")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _run(args: argparse.Namespace, frames: int) -> None:
    """One length, in this process: prints peak memory in MiB and seconds."""
    tokenizer = _tokenizer(args.base)
    if not args.files:
        start = time.monotonic()
        ids = tokenizer.encode_stream(_frames(frames, args.height, args.width), args.chunk)
        given = sum(video.shape[1] for video in tokenizer.decode_stream(ids, args.chunk, frames=frames))
        if given != frames:
            raise SystemExit(f"{given} frames came out, expected {frames}")
    else:
        from magvit_jax import workflows

        with tempfile.TemporaryDirectory() as folder:
            source = _write(Path(folder) / "long.mp4", frames, args.height, args.width)
            start = time.monotonic()
            say = lambda line: print(line, file=sys.stderr)  # noqa: E731
            workflows.reconstruct(tokenizer, source, Path(folder) / "out", whole=True, stream=True, say=say)
    print(_peak_mib(), time.monotonic() - start)


def _tokenizer(base: int):
    import jax
    import jax.numpy as jnp
    import numpy as np

    from magvit_jax.tokenizer.magvit2 import MagvitV2
    from magvit_jax.tokenizer.quantizer import LookupFreeQuantizer
    from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer, unboxed_abstract_params

    model = MagvitV2(
        base_channels=base,
        channel_multipliers=(1, 2, 2, 4),
        strides=((1, 2, 2), (2, 2, 2), (2, 2, 2)),
        blocks=1,
        mid_blocks=1,
        quantizer=LookupFreeQuantizer(18),
        norm_groups=min(base, 32),
    )
    clip, rng = ClipFormat(17, 128, 128), np.random.default_rng(0)
    shapes = unboxed_abstract_params(model, clip)
    params = jax.tree.map(lambda x: jnp.asarray(rng.normal(0.0, 0.1, x.shape), x.dtype), shapes)
    return Tokenizer(model, params, clip)


def _frames(count: int, height: int, width: int) -> Iterator:
    """A texture that drifts, uint8 [H, W, 3]."""
    import numpy as np

    y, x = np.mgrid[:height, :width]
    texture = np.stack([x % 256, y % 256, (x + y) // 2 % 256], axis=-1).astype(np.uint8)
    for i in range(count):
        yield np.roll(texture, (i, 2 * i), axis=(0, 1))


def _write(path: Path, frames: int, height: int, width: int) -> Path:
    from magvit_jax.media.video_io import mp4_writer

    with mp4_writer(path, fps=30.0) as write:
        for frame in _frames(frames, height, width):
            write(frame[None])
    return path


def _peak_mib() -> float:
    """Most memory this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():
        return (
            int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1])
            / 1024
        )
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    sys.exit(main())
