"""Decoding of token sequences from a function that gives logits; never a model."""

from magvit_jax.sampling.parallel import States, decode

__all__ = ["States", "decode"]
