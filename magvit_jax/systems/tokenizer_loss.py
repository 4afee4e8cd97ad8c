"""What a tokenizer loses without an adversary: reconstruction, perceptual distance, and the quantizer's terms."""

from dataclasses import dataclass

import jax.numpy as jnp

from magvit_jax.systems.perceptual import Perceptual
from magvit_jax.tokenizer import losses
from magvit_jax.tokenizer.codebook import batch_use
from magvit_jax.tokenizer.perceptual import perceptual_distance
from magvit_jax.tokenizer.quantizer import QuantizerLosses
from magvit_jax.typing import Array


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; see `configs/magvit2/video_tokenizer.py` for the published values."""

    reconstruction: float
    commitment: float
    codebook: float
    entropy: float
    entropy_annealing_factor: float
    entropy_annealing_steps: int
    entropy_temperature: float


@dataclass(frozen=True)
class TokenizerLoss:
    """The total and its parts (thesis 3.2.1, 5.4.1).

    Attributes:
      weights: of the terms that need no other network.
      perceptual: the frozen network and its weight.
    """

    weights: LossWeights
    perceptual: Perceptual

    def __call__(
        self, video: Array, output: Array, terms: QuantizerLosses, updates: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Total and metrics, float32 [].

        Args:
          video, output: the clips and their reconstructions, float [B,T,H,W,3].
          updates: int [], those applied so far; the entropy's weight follows them.
        """
        w = self.weights
        parts = dict(
            reconstruction_loss=losses.reconstruction(video, output),
            commitment_loss=terms.commitment,
            codebook_loss=terms.codebook,
            entropy_loss=terms.sample_entropy - terms.mean_entropy,
        )
        entropy_weight = losses.annealed_weight(
            updates, w.entropy, w.entropy_annealing_factor, w.entropy_annealing_steps
        )
        total = (
            w.reconstruction * parts["reconstruction_loss"]
            + w.commitment * parts["commitment_loss"]
            + w.codebook * parts["codebook_loss"]
            + entropy_weight * parts["entropy_loss"]
        )
        if self.perceptual.weight:
            parts["perceptual_loss"] = perceptual_distance(self.perceptual.network, video, output)
            total = total + self.perceptual.weight * parts["perceptual_loss"]
        return total, dict(
            parts,
            loss=total,
            psnr=-10.0 * jnp.log10(parts["reconstruction_loss"]),
            sample_entropy=terms.sample_entropy,
            mean_entropy=terms.mean_entropy,
        )


def codebook_metrics(ids: Array, codebook_size: int) -> dict[str, Array]:
    """How much of the codebook one batch uses; see `tokenizer.codebook.batch_use`."""
    use, perplexity = batch_use(ids, codebook_size)
    return dict(batch_codebook_use=use, batch_perplexity=perplexity)
