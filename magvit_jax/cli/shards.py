"""magvit shards: clips of videos, decoded and resized once, in shards."""

import argparse

import jax

from magvit_jax import workflows
from magvit_jax.data import ClipSpec
from magvit_jax.data.recordings import Cutting, Recordings
from magvit_jax.tokenizer.tokenizer import ClipFormat
from magvit_jax.training.processes import join_processes
from magvit_jax.workflows.shards import Share, open_recordings
from magvit_jax.workflows.tokenize import side_by_side


def run(args: argparse.Namespace) -> None:
    clips = cutting(args, None)
    index = workflows.write_clips(
        recordings(args, clips.spec), args.output, clips, num=args.num, share=share(args)
    )
    print(workflows.describe_shards(index, args.output))


def cutting(args: argparse.Namespace, default: ClipFormat | None) -> Cutting:
    """The clips that the flags ask for, where they say nothing those of a tokenizer."""
    size = {
        name: getattr(default, name) if getattr(args, name) is None else getattr(args, name)
        for name in ("frames", "height", "width", "stride")
    }
    return side_by_side(ClipSpec(**size), args.every, args.clips)


def recordings(args: argparse.Namespace, spec: ClipSpec) -> Recordings:
    """The inputs that the flags name."""
    return open_recordings(
        args.input,
        spec,
        source=args.source,
        split=args.split,
        held_out=args.held_out,
        data_dir=args.data_dir,
        feature=args.feature,
    )


def share(args: argparse.Namespace) -> Share:
    """Which part this process does: by --process, or by its place on a cluster.

    The processes of this work do not talk to each other, so --process and --processes are enough.
    """
    process, processes = args.process or 0, args.processes or 1
    if args.coordinator is not None:
        join_processes(args.coordinator, args.processes, args.process)
        process, processes = jax.process_index(), jax.process_count()
    return Share(args.shards, process, processes, args.threads)
