"""magvit export: a training workdir as a bundle, or as weights for PyTorch."""

import argparse

from magvit_jax import workflows


def run(args: argparse.Namespace) -> None:
    bundle = workflows.export(args.workdir, args.output, args.format)
    print(f"{bundle.kind} {bundle.config['fingerprint']} of step {bundle.config['step']}: {args.output}")
