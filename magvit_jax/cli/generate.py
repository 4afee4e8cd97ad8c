"""magvit generate: clips of a task from a trained generator."""

import argparse

import magvit_jax
from magvit_jax import workflows


def run(args: argparse.Namespace) -> None:
    settings = {
        name: getattr(args, name)
        for name in ("steps", "temperature", "guidance_scale")
        if getattr(args, name) is not None
    }
    workflows.generate(
        magvit_jax.load_generator(args.model),
        args.task,
        args.output,
        source=args.input,
        label=args.label,
        num=args.num,
        seed=args.seed,
        **settings,
    )
