"""Frozen networks of others, for inference: what metrics compare by and what conditions are made with.

`load(name)` gives one from its bundle, which `magvit convert --source=name` makes from the published weights.
`docs/pretrained.md` is the list.
"""

from magvit_jax.pretrained.networks import FrozenNetwork, load
from magvit_jax.pretrained.table import NETWORKS
from magvit_jax.pretrained.weights import ENVIRONMENT, MissingWeights

__all__ = ["ENVIRONMENT", "NETWORKS", "FrozenNetwork", "MissingWeights", "load"]
