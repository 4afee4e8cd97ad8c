"""The `magvit` command."""

import importlib
import logging
import os
import sys
from collections.abc import Sequence

from magvit_jax.cli import flags
from magvit_jax.errors import UserError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; a user's mistake ends with one line on standard error and status 2."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        args, rest = flags.parse(sys.argv[1:] if argv is None else argv)
        command = importlib.import_module(f"magvit_jax.cli.{args.command}")
        command.run(args, rest) if args.command == "train" else command.run(args)
    except UserError as error:
        print(f"magvit: error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        print("magvit: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (head, less) went away; without this Python complains when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
