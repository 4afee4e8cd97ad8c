"""magvit evaluate: measures a model on a folder of videos or on the embedded test clips."""

import argparse
import json

from magvit_jax import workflows
from magvit_jax.media.atomic import write_bytes
from magvit_jax.media.tables import results_text


def run(args: argparse.Namespace) -> None:
    values, rows = workflows.evaluate(args.model, args.input, args.metrics.split(","), args.num)
    print(results_text(rows))
    if args.json:
        write_bytes(args.json, (json.dumps(values, indent=1) + "\n").encode())
