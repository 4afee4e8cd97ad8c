"""magvit convert: somebody else's checkpoint as a bundle."""

import argparse

from magvit_jax import workflows


def run(args: argparse.Namespace) -> None:
    bundle, converted = workflows.convert(args.source, args.checkpoint, args.output, args.weights)
    print(
        f"{bundle.kind} {bundle.config['fingerprint']}: {converted.size / 1e6:.1f}M parameters "
        f"({converted.weights} weights; {converted.ignored} other keys left out): {args.output}"
    )
