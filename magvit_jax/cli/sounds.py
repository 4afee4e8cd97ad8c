"""Flags that say nothing to a tokenizer of sound, which takes whole files."""

import argparse
from collections.abc import Sequence

from magvit_jax.errors import UserError


def require_whole_sounds(args: argparse.Namespace, names: Sequence[str]) -> None:
    """UserError that names the first of these flags that was given."""
    for name in names:
        if getattr(args, name):
            flag = name.replace("_", "-")
            raise UserError(f"--{flag}: {args.model} is a sound tokenizer, which takes whole files; leave it out")
