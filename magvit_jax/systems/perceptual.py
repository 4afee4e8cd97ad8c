"""The frozen networks that a config's `perceptual` group can name."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from magvit_jax import pretrained
from magvit_jax.errors import UserError
from magvit_jax.evaluation.small_features import BUNDLE, SmallFeatures
from magvit_jax.tokenizer.perceptual import FrozenNetwork

OFF = "none"
RESNET_SIZE = (224, 224)


@dataclass(frozen=True)
class Perceptual:
    """The perceptual term of a tokenizer's loss.

    Attributes:
      weight: 0 for no such term; then nothing is loaded.
      name: one of `NETWORKS`, or "none".
      path: bundle of `fd_small`, "" for the one that is shipped; of `resnet50` the folder of weights, "" for the one
        that the environment's `MAGVIT_WEIGHTS` names.

    Raises:
      UserError: a name that does not exist, or a weight without a network.
    """

    weight: float
    name: str
    path: str

    def __post_init__(self):
        if self.name not in (OFF, *NETWORKS):
            raise UserError(
                f"perceptual.network: {self.name!r}; expected one of {', '.join((OFF, *NETWORKS))}"
            )
        if self.weight and self.name == OFF:
            raise UserError(f"perceptual.weight: {self.weight} with network 'none'; expected 0, or a network")

    @functools.cached_property
    def network(self) -> FrozenNetwork:
        """Read when it is first asked for, so that a trained model can be loaded without it. UserError where absent."""
        return NETWORKS[self.name](self.path)


def _fd_small(path: str) -> FrozenNetwork:
    """The classifier of `fd_small`. What it was trained against looks better to that measure than to the eye."""
    small = SmallFeatures.load(path or BUNDLE)
    return FrozenNetwork(
        features=lambda params, video: small.model.apply({"params": params}, video, head=False),
        params=small.params,
        size=small.size,
        clips=True,
    )


def _resnet50(path: str) -> FrozenNetwork:
    """The logits of ResNet-50 on every frame, as the authors' code compares them."""
    try:
        network = pretrained.load("resnet50", path or None)
    except pretrained.MissingWeights as error:
        raise UserError(f"perceptual.network: {error}; to train without it: --config.perceptual.weight=0") from error
    return FrozenNetwork(
        features=lambda params, video_N1HWC: network.apply(params, video_N1HWC[:, 0])["logits"],
        params=network.params,
        size=RESNET_SIZE,
    )


NETWORKS: Mapping[str, Callable[[str], FrozenNetwork]] = {"fd_small": _fd_small, "resnet50": _resnet50}
