"""magvit train: trains what a config describes."""

import argparse
from collections.abc import Sequence

from magvit_jax import workflows
from magvit_jax.cli import config_files
from magvit_jax.training.processes import join_processes


def run(args: argparse.Namespace, overrides: Sequence[str]) -> None:
    join_processes(args.coordinator, args.processes, args.process)
    workflows.train(config_files.load_config(args.config, overrides), args.workdir)
    print(f"trained: {args.workdir}")
