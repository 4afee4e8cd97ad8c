"""magvit gallery: every task of a trained generator for one clip, as a page to look at."""

import argparse

import magvit_jax
from magvit_jax import workflows
from magvit_jax.cli.generate import decoding, user_mask
from magvit_jax.errors import UserError
from magvit_jax.generation.multimodal import MultimodalGenerator


def run(args: argparse.Namespace) -> None:
    mask = user_mask(args)
    generator = magvit_jax.load_generator(args.model)
    if isinstance(generator, MultimodalGenerator):
        raise UserError(f"{args.model}: a model of text, video and sound; expected one of video alone")
    workflows.gallery(
        generator,
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
