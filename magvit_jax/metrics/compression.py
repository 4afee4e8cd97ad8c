"""Bits per pixel of clips that travel as token ids (thesis 5.4.3)."""

import math

from magvit_jax.errors import UserError
from magvit_jax.metrics.codebook import CodebookCounts


def bits_per_pixel(tokens: int, codes: int, pixels: int) -> float:
    """Bits a pixel at a fixed length a token, log2(codes), which needs no model of the ids.

    MAGVIT's 1,024 codes for 4 x 8 x 8 pixels are 10 / 256 = 0.039 bits a pixel.

    Args:
      tokens: how many ids stand for the pixels.
      codes: size of the codebook, 2 or more.
      pixels: frames x height x width; channels do not count.
    """
    if tokens < 1 or pixels < 1 or codes < 2:
        raise UserError(f"bits of {tokens} tokens of {codes} codes for {pixels} pixels: expected 1, 2 and 1 or more")
    return tokens * math.log2(codes) / pixels


def entropy_bits_per_pixel(counts: CodebookCounts, pixels: int) -> float:
    """Bits a pixel of an ideal entropy coder that knows how often each code occurs, and nothing of its neighbours.

    A lower bound for such coders on these clips, since their own frequencies are used and not sent.

    Args:
      counts: of all ids that stand for the pixels.
      pixels: frames x height x width of all clips; channels do not count.
    """
    if counts.total < 1 or pixels < 1:
        raise UserError(f"bits of {counts.total} tokens for {pixels} pixels: expected 1 or more of both")
    return counts.total * counts.entropy / math.log(2) / pixels
