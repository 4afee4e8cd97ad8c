"""magvit generate: clips of a task, or of a user's own mask, from a trained generator; or one long video.

Models of text, video and sound take other flags than models of video alone, `run_multimodal`.
"""

import argparse
from collections.abc import Sequence

import magvit_jax
from magvit_jax import workflows
from magvit_jax.cli import flags
from magvit_jax.errors import UserError
from magvit_jax.generation.multimodal import MultimodalGenerator
from magvit_jax.generation.pixels import USER_MASK
from magvit_jax.partitioning import make_mesh

#: Flags of models of video alone, which a model of text, video and sound has no use for.
VIDEO_ONLY = ("label", "paste", "states", *(name for name in flags.DECODING if name not in flags.TOKENWISE))


def run(args: argparse.Namespace) -> None:
    mask = user_mask(args)
    if args.task is None and mask is None:
        raise UserError(
            "magvit generate needs --task=NAME, or --mask=FILE or --box=Y0,X0,Y1,X1 for a mask of your own"
        )
    task = USER_MASK if args.task is None else args.task
    settings = decoding(args)
    mesh = None if args.mesh is None else make_mesh(flags.mesh(args.mesh))
    generator = magvit_jax.load_generator(args.model, mesh=mesh)
    if isinstance(generator, MultimodalGenerator):
        run_multimodal(generator, args, mask, settings)
        return
    _refuse(args, flags.MULTIMODAL, "a model of video alone")
    if args.frames is not None:
        sliding = ("mask", "box", "prompt", "paste", "states")
        _refuse(args, sliding, "--frames, which slides frame prediction over its own output")
    shared = dict(source=args.input, label=args.label, seed=args.seed, **settings)
    if args.num is not None:
        shared["num"] = args.num
    if args.frames is not None:
        workflows.generate_long(generator, task, args.output, args.frames, **shared)
        return
    more = dict(mask=mask, prompt=args.prompt, paste=args.paste, states=args.states)
    workflows.generate(generator, task, args.output, **more, **shared)


def run_multimodal(
    generator: MultimodalGenerator,
    args: argparse.Namespace,
    mask: workflows.UserMask | None,
    settings: dict[str, object],
) -> None:
    _refuse(args, VIDEO_ONLY, "a model of text, video and sound")
    if args.task is None:
        raise UserError(f"magvit generate needs --task=NAME; this model knows: {', '.join(generator.tasks)}")
    files = workflows.Files(args.input, args.audio, args.flow, args.depth, mask)
    shared = dict(files=files, prompt=args.prompt, given=args.given_frames, seed=args.seed, **settings)
    shared |= {name: value for name, value in (("num", args.num), ("source", args.source)) if value is not None}
    frames = long_frames(args, generator.fps)
    if frames is None:
        then = dict(then=args.then or (), then_prompt=args.then_prompt)
        workflows.generate_multimodal(generator, args.task, args.output, **then, **shared)
        return
    _refuse(args, ("then", "then_prompt"), "--frames or --seconds, which goes on with one task")
    workflows.generate_multimodal_long(generator, args.task, args.output, frames, **shared)


def long_frames(args: argparse.Namespace, fps: float) -> int | None:
    """The length of a long video by --frames or --seconds; None for a clip."""
    if args.seconds is None:
        return args.frames
    if args.frames is not None:
        raise UserError(f"--frames={args.frames} and --seconds={args.seconds:g}: expected one of them")
    return round(args.seconds * fps)


def _refuse(args: argparse.Namespace, names: Sequence[str], what: str) -> None:
    for name in names:
        if getattr(args, name) not in (None, False):
            raise UserError(f"--{name.replace('_', '-')} does not go with {what}")


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
