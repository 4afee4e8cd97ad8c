"""Residual vector quantization with codebooks that follow the data (SoundStream III-C; VQ-VAE appendix A.1).

Level q quantizes what levels 0 to q - 1 left over. Codes have no gradient: each is the moving mean of the latents
that were assigned to it. Codes that hardly any latent is assigned to are set to latents of the batch. All of it is a
function from one state to the next.
"""

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from magvit_jax.errors import UserError
from magvit_jax.tokenizer.vq import nearest
from magvit_jax.typing import Array, PRNGKey


class Codebooks(flax.struct.PyTreeNode):
    """State of all levels, float32.

    Fields:
      codes_QKD: K codes of each level.
      counts_QK: moving mean of how many latents of a batch are assigned to each.
      sums_QKD: moving mean of their sum.
    """

    codes_QKD: Array
    counts_QK: Array
    sums_QKD: Array

    @classmethod
    def create(cls, levels: int, size: int, latent_dim: int) -> "Codebooks":
        """Codes at zero with counts of zero, so that the first `update` sets each to a latent of its batch.

        Raises:
          UserError: a number below 1.
        """
        if min(levels, size, latent_dim) < 1:
            raise UserError(
                f"codebooks: {levels} levels of {size} codes of {latent_dim}; expected 1 or more of each"
            )
        zeros_QKD = jnp.zeros((levels, size, latent_dim))
        return cls(zeros_QKD, jnp.zeros((levels, size)), zeros_QKD)


class Quantized(NamedTuple):
    """Latents after quantization.

    Fields:
      z_BTD: sum of the codes, whose gradient goes straight through to the latents.
      ids_BTQ: int32, the code of each level.
      inputs_QND: what each level was given, the N = B T latents in a row; no gradient.
      commitment: float32 [], mean squared distance of what a level is given to its code, over the levels in use; its
        gradient moves latents towards codes.
    """

    z_BTD: Array
    ids_BTQ: Array
    inputs_QND: Array
    commitment: Array


class Assignments(NamedTuple):
    """What one batch says about the codes.

    Fields:
      counts_QK: float32, latents that are assigned to each code.
      sums_QKD: their sum.
      candidates_QKD: latents of the batch drawn at random, in case a code has to be set anew.
    """

    counts_QK: Array
    sums_QKD: Array
    candidates_QKD: Array


def quantize(codes_QKD: Array, z_BTD: Array, levels_B: Array | None = None) -> Quantized:
    """Quantizes latents level by level.

    Args:
      codes_QKD: as of `Codebooks`.
      z_BTD: float32 latents.
      levels_B: int, how many levels count for each example, 1 to Q, as of `draw_levels`; all where None. Ids are
        always those of all levels.
    """
    codes_QKD = jax.lax.stop_gradient(codes_QKD)
    rest_BTD, total_BTD = z_BTD, jnp.zeros_like(z_BTD)
    ids, inputs, commitment = [], [], jnp.zeros(())
    weights_QB = level_weights(len(codes_QKD), z_BTD.shape[0], levels_B)
    for codes_KD, weight_B in zip(codes_QKD, weights_QB, strict=True):
        inputs.append(jax.lax.stop_gradient(rest_BTD).reshape(-1, rest_BTD.shape[-1]))
        ids_BT = nearest(inputs[-1].reshape(z_BTD.shape), codes_KD)
        chosen_BTD = codes_KD[ids_BT]
        distance_B = jnp.square(rest_BTD - chosen_BTD).mean((1, 2))
        commitment = commitment + (weight_B * distance_B).mean()
        rest_BTD = rest_BTD - chosen_BTD
        total_BTD = total_BTD + jnp.broadcast_to(weight_B[:, None, None], z_BTD.shape) * chosen_BTD
        ids.append(ids_BT)
    straight_BTD = z_BTD + jax.lax.stop_gradient(total_BTD - z_BTD)
    commitment = commitment / weights_QB.mean(1).sum()
    return Quantized(straight_BTD, jnp.stack(ids, axis=-1), jnp.stack(inputs), commitment)


def level_weights(levels: int, batch: int, levels_B: Array | None) -> Array:
    """float32 [Q, B]: 1 where a level counts for an example, 0 where not."""
    if levels_B is None:
        return jnp.ones((levels, batch))
    return (jnp.arange(levels)[:, None] < levels_B[None]).astype(jnp.float32)


def draw_levels(rng: PRNGKey, batch: int, levels: int) -> Array:
    """int32 [B], evenly from 1 to `levels`: quantizer dropout (III-C), which makes fewer levels usable too."""
    return jax.random.randint(rng, (batch,), 1, levels + 1)


def dequantize(codes_QKD: Array, ids_BTQ: Array) -> Array:
    """Sum of the codes, float32 [B, T, D]; ids of fewer levels than there are use the first ones.

    Raises:
      UserError: more levels than codebooks.
    """
    levels = ids_BTQ.shape[-1]
    if not 1 <= levels <= len(codes_QKD):
        raise UserError(f"ids of {levels} levels: expected 1 to {len(codes_QKD)}, the levels of the codebooks")
    return sum(codes_QKD[level][ids_BTQ[..., level]] for level in range(levels))


def assignments(rng: PRNGKey, quantized: Quantized, size: int) -> Assignments:
    """Counts and sums of a batch for the codes of each level, of which there are `size`."""
    inputs_QND = quantized.inputs_QND
    levels, number, _ = inputs_QND.shape
    ids_QN = jnp.moveaxis(quantized.ids_BTQ, -1, 0).reshape(levels, number)
    chosen_QNK = jax.nn.one_hot(ids_QN, size)
    sums_QKD = jnp.einsum("qnk,qnd->qkd", chosen_QNK, inputs_QND, precision=jax.lax.Precision.HIGHEST)
    picks_QK = jax.random.randint(rng, (levels, size), 0, number)
    candidates_QKD = jnp.take_along_axis(inputs_QND, picks_QK[..., None], axis=1)
    return Assignments(chosen_QNK.sum(1), sums_QKD, candidates_QKD)


def update(books: Codebooks, batch: Assignments, decay: float, restart_below: float) -> tuple[Codebooks, Array]:
    """The codebooks after a batch, and float32 [] how many codes were set anew.

    Args:
      decay: of the moving means, in [0, 1); published: 0.99.
      restart_below: a code whose moving count is less is set to one of the batch's candidates, with that count;
        above 0; published: 2.
    """
    counts_QK = decay * books.counts_QK + (1.0 - decay) * batch.counts_QK
    sums_QKD = decay * books.sums_QKD + (1.0 - decay) * batch.sums_QKD
    dead_QK = counts_QK < restart_below
    counts_QK = jnp.where(dead_QK, restart_below, counts_QK)
    sums_QKD = jnp.where(dead_QK[..., None], restart_below * batch.candidates_QKD, sums_QKD)
    # No count is below `restart_below`, so the quotient needs no smoothing.
    return Codebooks(sums_QKD / counts_QK[..., None], counts_QK, sums_QKD), dead_QK.sum().astype(jnp.float32)
