"""magvit train: trains what a config describes."""

import argparse
from collections.abc import Sequence

from magvit_jax import workflows
from magvit_jax.cli import flags


def run(args: argparse.Namespace, overrides: Sequence[str]) -> None:
    workflows.train(flags.load_config(args.config, overrides), args.workdir)
    print(f"trained: {args.workdir}")
