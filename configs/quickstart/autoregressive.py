"""The autoregressive baseline of Tab. 6.9, small: the quickstart's generator, token by token (thesis 6.5.5).

The same network, clips and steps as quickstart/generator, and its variants: smoke, small (the default), full. It
generates 192 tokens in 192 steps in place of 2 (frame prediction) or 12 (classes).

    magvit train --config=quickstart/autoregressive --config.tokenizer=runs/tokenizer --workdir=runs/autoregressive
"""

from ml_collections import ConfigDict

from .._autoregressive import autoregressive
from . import generator

VARIANTS = generator.VARIANTS


def get_config(variant: str = "small") -> ConfigDict:
    config = autoregressive(generator.get_config(variant))
    config.name = f"quickstart_autoregressive_{variant}"
    return config
