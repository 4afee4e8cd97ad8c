"""Tokens of a clip from whichever transformer it is: parallel decoding, or one token after the other."""

from magvit_jax.errors import UserError
from magvit_jax.generation import autoregressive, masked
from magvit_jax.generation.autoregressive import TokenwiseDecoding
from magvit_jax.generation.masked import Conditions
from magvit_jax.generation.settings import Decoding
from magvit_jax.sampling.parallel import States
from magvit_jax.tokens.vocabulary import Vocabulary
from magvit_jax.transformer.base import TokenTransformer
from magvit_jax.typing import Array, PyTree


def generate_ids(
    transformer: TokenTransformer,
    params: PyTree,
    vocabulary: Vocabulary,
    decoding: Decoding | TokenwiseDecoding,
    conditions: Conditions,
    return_states: bool = False,
) -> Array | tuple[Array, States]:
    """As `generation.masked.generate_ids`, or as `generation.autoregressive.generate_ids`: the settings say which.

    Raises:
      UserError: the states of a model that decodes one token after the other.
    """
    if not isinstance(decoding, TokenwiseDecoding):
        return masked.generate_ids(transformer, params, vocabulary, decoding, conditions, return_states)
    if return_states:
        raise UserError("an autoregressive model has no intermediate states to show: it decodes token by token")
    return autoregressive.generate_ids(transformer, params, vocabulary, decoding, conditions)
