"""How `fd_small` grows with blur, noise and a wrong order of frames; prints a table.

    python tools/measure_fd_small.py                           # the embedded test clips
    python tools/measure_fd_small.py --videos=DIR --size=64    # clips of a folder, 64x64 pixels

Every distorted set is compared with the clips it was made of. The first line is the distance between two
random halves of the undistorted clips: what a comparison of different clips adds, whatever their quality.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from magvit_jax import metrics
from magvit_jax.evaluation.distortions import DISTORTIONS
from magvit_jax.evaluation.small_features import shipped
from magvit_jax.media.tables import text_table
from magvit_jax.tokenizer.tokenizer import ClipFormat
from magvit_jax.workflows.evaluate import test_clips

STRENGTHS = {"blur": (0.5, 1.0, 2.0, 4.0), "noise": (0.025, 0.05, 0.1, 0.2), "shuffle": (2.0, 4.0, 8.0, 16.0)}


def measure(video_NTHWC: np.ndarray, seed: int) -> list[tuple[str, str, float]]:
    """(distortion, strength, distance) for uint8 clips."""
    network, clean = shipped(), video_NTHWC / np.float32(255)
    features_NF = network(clean)
    order = np.random.default_rng(seed).permutation(len(features_NF))
    halves = (features_NF[chosen] for chosen in np.array_split(order, 2))
    rows = [("none", "two halves", metrics.frechet_distance(*halves))]
    for name, distort in DISTORTIONS.items():
        for strength in STRENGTHS[name]:
            distance = metrics.frechet_distance(features_NF, network(distort(clean, strength, seed)))
            rows.append((name, f"{strength:g}", distance))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=Path, help="folder of videos; the embedded test clips by default")
    parser.add_argument("--size", type=int, default=32, help="height and width of the clips")
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--num", type=int, default=256, help="clips at most")
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    clip = ClipFormat(flags.frames, flags.size, flags.size)
    video_NTHWC = np.concatenate([batch["video"] for batch in test_clips(clip, flags.videos, flags.num)])
    shape = "x".join(map(str, video_NTHWC.shape[1:4]))
    print(f"fd_small {shipped().fingerprint}, {len(video_NTHWC)} clips of {shape}")
    rows = [(name, strength, f"{value:.4f}") for name, strength, value in measure(video_NTHWC, flags.seed)]
    print(text_table(rows, header=("distortion", "strength", "fd_small"), align="lrr"))


if __name__ == "__main__":
    main()
