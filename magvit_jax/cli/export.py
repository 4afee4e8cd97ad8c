"""magvit export: a training workdir as a bundle."""

import argparse

from magvit_jax import bundles


def run(args: argparse.Namespace) -> None:
    bundle = bundles.from_workdir(args.workdir)
    bundles.write(bundle, args.output)
    print(f"{bundle.kind} {bundle.config['fingerprint']} of step {bundle.config['step']}: {args.output}")
