"""`python -m magvit_jax` is the `magvit` command."""

import sys

from magvit_jax.cli.main import main

sys.exit(main())
