"""magvit reconstruct: videos and images through a tokenizer and back."""

import argparse

import magvit_jax
from magvit_jax import workflows


def run(args: argparse.Namespace) -> None:
    tokenizer = magvit_jax.load_tokenizer(args.model)
    workflows.reconstruct(
        tokenizer, args.input, args.output, whole=args.whole, stream=args.stream, height=args.height, width=args.width
    )
