"""magvit gallery: every task of a trained generator for one clip, as a page to look at."""

import argparse

import magvit_jax
from magvit_jax import workflows
from magvit_jax.cli.generate import decoding, user_mask


def run(args: argparse.Namespace) -> None:
    mask = user_mask(args)
    workflows.gallery(
        magvit_jax.load_generator(args.model),
        args.output,
        source=args.input,
        mask=mask,
        label=args.label,
        num=args.num,
        seed=args.seed,
        paste=args.paste,
        model=str(args.model),
        **decoding(args),
    )
