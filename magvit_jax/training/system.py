"""What the loop asks of a model that is to be trained."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from magvit_jax.typing import Array, Batch, PRNGKey, PyTree

Evaluator = Callable[[PyTree, Iterable[Batch]], Mapping[str, float]]


@runtime_checkable
class System(Protocol):
    """A model, its losses and its optimizers as three pure functions, and its evaluators.

    The loop calls `gradients` once a microbatch, averages what it returns over the microbatches, and calls
    `apply` once a step. It looks into neither the state nor the gradients: a GAN keeps two players and two
    optimizers inside its state, returns the gradients of both from one forward pass, and updates both in
    `apply`. All floating-point arrays of the state must stay finite.
    """

    #: Keys of the batch that `gradients` reads; the loop moves no others to the devices.
    #: A system that is also trained on batches of images has `image_keys`, those of a batch with the key "image".
    data_keys: tuple[str, ...]
    #: Evaluators by name: (state, iterator of batches) -> values by name.
    evaluators: Mapping[str, Evaluator]

    def init(self, rng: PRNGKey) -> PyTree:
        """Initial state. May hold Linen boxes (`partitioning.param`), which say how it is sharded; every
        other function gets it unboxed. Optimizer state is made from the boxed parameters."""
        ...

    def gradients(self, state: PyTree, microbatch: Batch, rng: PRNGKey) -> tuple[PyTree, dict[str, Array]]:
        """(gradients, aux) of the mean loss over `microbatch`.

        aux is a flat dict of arrays; `apply` gets them as float32, averaged over the microbatches: means stay
        means, sums become means.
        """
        ...

    def apply(self, state: PyTree, grads: PyTree, aux: dict[str, Array]) -> tuple[PyTree, dict[str, Array]]:
        """(new state, metrics): one update. The metrics are a flat dict of scalars, logged as means over the steps
        between two records. A system may have `metric_weights`: by the name of a metric that is a mean over a number
        of things, the name of the metric that tells this number; it is averaged over the things, not the steps.

        The update is dropped where a gradient, an array of the new state, or a metric whose name contains
        "loss" is not finite.
        """
        ...

    def sample(self, state: PyTree, batch: Batch) -> dict[str, np.ndarray]:
        """Pictures of how the training goes: uint8 videos [N,T,H,W,3] by name, or nothing."""
        ...
