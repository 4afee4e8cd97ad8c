"""magvit evaluate: measures a model on videos or on the embedded test clips, or a folder of clips by a protocol."""

import argparse
import functools
import json
import sys
from typing import Any

from magvit_jax import workflows
from magvit_jax.errors import UserError
from magvit_jax.media.atomic import write_bytes
from magvit_jax.media.tables import Result, results_text

_CLIPS = 256  # of a model, where --num does not say


def run(args: argparse.Namespace) -> None:
    values, rows = _measure(args)
    if args.json:
        write_bytes(args.json, (json.dumps(values, indent=1) + "\n").encode())
    if not rows:
        raise UserError(f"nothing was measured: all of --metrics={args.metrics} is left out, for the reasons above")
    print(results_text(rows))


def _measure(args: argparse.Namespace) -> tuple[dict[str, Any], list[Result]]:
    say = functools.partial(print, file=sys.stderr, flush=True)
    names = args.metrics.split(",")
    if (args.model is None) == (args.samples is None):
        raise UserError("magvit evaluate: expected either --model or --samples")
    if args.samples is None:
        if args.captions is not None:
            raise UserError("--captions is for --samples; a model is asked for its classes by name")
        name = args.protocol or "model_clips"
        num = _CLIPS if args.num is None and name == "model_clips" else args.num
        return workflows.evaluate(args.model, args.input, names, num, say, args.weights_dir, name)
    return workflows.evaluate_folders(
        args.samples,
        args.input,
        names,
        protocol_name=args.protocol or "given_clips",
        num=args.num,
        captions=args.captions,
        weights_dir=args.weights_dir,
        seed=args.seed,
        say=say,
    )
