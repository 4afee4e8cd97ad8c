"""Writes docs/claims.md from the results that `magvit experiment --results=experiments/results` stored.

    python tools/make_claims.py [--results=experiments/results] [--output=docs/claims.md]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from magvit_jax.errors import UserError
from magvit_jax.experiments.claims_page import page
from magvit_jax.media.atomic import write_bytes

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "experiments" / "results")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "claims.md")
    flags = parser.parse_args()
    try:
        print(write_bytes(flags.output, page(flags.results).encode()))
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
