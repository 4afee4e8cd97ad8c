"""Makes the shared tiny models, and the written-out sequences of VideoPoet, importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tokens"))
