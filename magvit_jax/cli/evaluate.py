"""magvit evaluate: measures a model on a folder of videos or on the embedded test clips."""

import argparse
import functools
import json
import sys

from magvit_jax import workflows
from magvit_jax.media.atomic import write_bytes
from magvit_jax.media.tables import results_text


def run(args: argparse.Namespace) -> None:
    progress = functools.partial(print, file=sys.stderr, flush=True)
    values, rows = workflows.evaluate(args.model, args.input, args.metrics.split(","), args.num, progress)
    print(results_text(rows))
    if args.json:
        write_bytes(args.json, (json.dumps(values, indent=1) + "\n").encode())
