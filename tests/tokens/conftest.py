"""Makes `grids`, which the tests of tasks and masks share, importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
