"""magvit generate: clips of a task, or of a user's own mask, from a trained generator; or one long video."""

import argparse

import magvit_jax
from magvit_jax import workflows
from magvit_jax.cli import flags
from magvit_jax.errors import UserError
from magvit_jax.generation.pixels import USER_MASK


def run(args: argparse.Namespace) -> None:
    mask = user_mask(args)
    if args.task is None and mask is None:
        raise UserError(
            "magvit generate needs --task=NAME, or --mask=FILE or --box=Y0,X0,Y1,X1 for a mask of your own"
        )
    task = USER_MASK if args.task is None else args.task
    if args.frames is not None:
        for name in ("mask", "box", "prompt", "paste", "states"):
            if getattr(args, name):
                raise UserError(
                    f"--{name} does not go with --frames, which slides frame prediction over its own output"
                )
    settings = decoding(args)
    generator = magvit_jax.load_generator(args.model)
    shared = dict(source=args.input, label=args.label, seed=args.seed, **settings)
    if args.num is not None:
        shared["num"] = args.num
    if args.frames is not None:
        workflows.generate_long(generator, task, args.output, args.frames, **shared)
        return
    more = dict(mask=mask, prompt=args.prompt, paste=args.paste, states=args.states)
    workflows.generate(generator, task, args.output, **more, **shared)


def user_mask(args: argparse.Namespace) -> workflows.UserMask | None:
    """What --mask or --box gives; None without either."""
    if args.mask is None and args.box is None:
        if args.given is not None:
            raise UserError(
                f"--given={args.given} says what of a mask is given; expected --mask or --box with it"
            )
        return None
    box = None if args.box is None else flags.box(args.box)
    return workflows.UserMask(args.mask, box, args.given or "inside")


def decoding(args: argparse.Namespace) -> dict[str, object]:
    """The flags of decoding settings that were given."""
    return {name: getattr(args, name) for name in flags.DECODING if getattr(args, name) is not None}
