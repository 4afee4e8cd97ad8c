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
#: What the same command does after an interruption. A file has its name only when it is whole, so that of the others
#: nothing half-done is left.
GOES_ON = {
    "train": "goes on from the last checkpoint",
    "quickstart": "goes on from the last checkpoint",
    "experiment": "goes on from the last checkpoint of the run that it was in",
    "shards": "goes on after the last finished shard",
    "tokenize": "goes on after the last finished shard",
    "embed-text": "goes on after the last finished shard",
}
STARTS_OVER = "starts over"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; a user's mistake ends with one line on standard error and status 2."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    name = ""
    try:
        args, rest = flags.parse(sys.argv[1:] if argv is None else argv)
        name = args.command
        command = importlib.import_module(f"magvit_jax.cli.{name.replace('-', '_')}")
        status = command.run(args, rest) if name in flags.OVERRIDES else command.run(args)
    except UserError as error:
        print(f"magvit: error: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        print(f"magvit: interrupted; the same command {GOES_ON.get(name, STARTS_OVER)}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (head, less) went away; without this Python complains when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status or 0


if __name__ == "__main__":
    sys.exit(main())
