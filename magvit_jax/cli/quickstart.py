"""magvit quickstart: from video files to generated video, with a report."""

import argparse

from magvit_jax.quickstart.run import quickstart


def run(args: argparse.Namespace) -> None:
    quickstart(args.workdir, args.videos, args.scale)
