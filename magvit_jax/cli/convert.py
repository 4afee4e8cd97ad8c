"""magvit convert: somebody else's checkpoint as a bundle."""

import argparse

from magvit_jax import workflows
from magvit_jax.errors import UserError
from magvit_jax.pretrained import NETWORKS


def run(args: argparse.Namespace) -> None:
    if args.source in NETWORKS:
        if args.weights is not None:
            raise UserError(f"--weights={args.weights}: {args.source} has only one set of weights; leave it out")
        written = workflows.convert_pretrained(args.source, args.checkpoint, args.output)
        print(f"{args.source} {written.fingerprint}: {written.size / 1e6:.1f}M values: {written.path}")
        return
    bundle, converted = workflows.convert(args.source, args.checkpoint, args.output, args.weights)
    print(
        f"{bundle.kind} {bundle.config['fingerprint']}: {converted.size / 1e6:.1f}M parameters "
        f"({converted.note}): {args.output}"
    )
