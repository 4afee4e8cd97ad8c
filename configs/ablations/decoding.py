"""Tab. 6.9: decoding methods, BAIR frame prediction (thesis 6.5.5).

Variant      Row of the table      Tokenizer          Tokens   Steps   FVD   debiased
maskgit_2d   MaskGIT, 2D-VQ        53M, frames alone  4,096    12      222   177
maskgit_3d   MaskGIT, 3D-VQ        41M                1,024    12      122   74
ar           AR, 3D-VQ             41M                1,024    1,024   91    56
magvit       MAGVIT                41M                1,024    12      76    48      (the default)

The transformers are B (87M parameters). MaskViT's row is quoted from its paper, and is not here. MaskGIT's
rows are masked in the latents, with its loss on masked tokens alone; the one on 3D-VQ is
ablations/masking:latent, and `magvit` is magvit/bair_transformer:b. In front of the tokens of `ar` stand
those of the given frame, as in ablations/masking:prefix; they are drawn from all codes, with a key-value
cache.

Tokenizers: magvit/bair:b, and of maskgit_2d magvit/imagenet:l_64 on single frames (47.8M parameters; the
thesis used MaskGIT's own). Data: as in magvit/bair_transformer.py.

Cost: 67,600 steps of 256 clips, 15 hours at the thesis's 1.24 steps/s on 16 TPU-v2 chips; maskgit_2d four
times that and more, by its length. Time and memory are not measured here.

    magvit train --config=ablations/decoding:ar --config.tokenizer=runs/bair_b --config.data.path=VIDEOS \
        --workdir=runs/decoding_ar
"""

from ml_collections import ConfigDict

from .._autoregressive import autoregressive
from . import masking

#: By row, the one of Tab. 6.8 that it is masked as.
ROWS = {"maskgit_2d": "latent", "maskgit_3d": "latent", "ar": "prefix", "magvit": "commit"}
VARIANTS = tuple(ROWS)


def get_config(variant: str = "magvit") -> ConfigDict:
    config = masking.get_config(ROWS[variant])
    config.name = f"ablation_decoding_{variant}"
    if variant == "ar":
        config = autoregressive(config)
    return config
