"""magvit reconstruct: videos and images, or sounds, through a tokenizer and back."""

import argparse

import magvit_jax
from magvit_jax import bundles, workflows
from magvit_jax.cli.sounds import require_whole_sounds


def run(args: argparse.Namespace) -> None:
    if bundles.holds_sound_tokenizer(args.model):
        require_whole_sounds(args, ("whole", "stream", "height", "width"))
        workflows.reconstruct_sounds(magvit_jax.load_sound_tokenizer(args.model), args.input, args.output)
        return
    tokenizer = magvit_jax.load_tokenizer(args.model)
    workflows.reconstruct(
        tokenizer, args.input, args.output, whole=args.whole, stream=args.stream, height=args.height, width=args.width
    )
