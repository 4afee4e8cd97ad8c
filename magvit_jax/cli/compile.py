"""magvit compile: whether and how well a config would run on a TPU slice, without one."""

import argparse
import json
import os
from collections.abc import Sequence

import jax
from ml_collections import ConfigDict

from magvit_jax import systems, workflows
from magvit_jax.aot.report import to_text
from magvit_jax.cli import config_files
from magvit_jax.media.atomic import write_bytes

EXIT_DOES_NOT_FIT = 1


def run(args: argparse.Namespace, overrides: Sequence[str]) -> int:
    """Prints the report; the exit status is 1 where the program does not fit."""
    if "JAX_PLATFORMS" not in os.environ:
        # With libtpu installed JAX would look for a TPU first. The environment is for the compiler's own process.
        os.environ["JAX_PLATFORMS"] = "cpu"
        jax.config.update("jax_platforms", "cpu")
    config = config_files.load_config(args.config, overrides)
    report = workflows.compile_ahead(
        config,
        args.topology,
        what=args.what,
        tokenizer=_tokenizer(config, "tokenizer"),
        sound_tokenizer=_tokenizer(config, "sound_tokenizer"),
        classes=args.classes,
        slices=args.slices,
        task=args.task,
        code=not args.no_code,
        name=args.config,
        overrides=overrides,
    )
    print(to_text(report))
    if args.json:
        write_bytes(args.json, (json.dumps(report.to_json(), indent=1) + "\n").encode())
    return 0 if report.fits else EXIT_DOES_NOT_FIT


def _tokenizer(config: ConfigDict, field: str) -> ConfigDict | None:
    """The config that a field of a generator's names, where it is not a folder: a tokenizer that is not trained yet."""
    name = config.get(field, "")
    if systems.kind(config) == "tokenizer" or not name or os.path.isdir(name):
        return None
    return config_files.load_config(name)
