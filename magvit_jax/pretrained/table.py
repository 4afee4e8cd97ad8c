"""The frozen networks as data: which file holds each, what it is made from, and under which licence."""

from magvit_jax.pretrained.row import Network
from magvit_jax.pretrained.rows_language import LANGUAGE
from magvit_jax.pretrained.rows_vision import VISION

#: By the name that `load` and `magvit convert --source=NAME` take. `docs/pretrained.md` shows this table.
NETWORKS: dict[str, Network] = {row.name: row for row in (*VISION, *LANGUAGE)}

