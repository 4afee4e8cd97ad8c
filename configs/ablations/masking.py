"""Tab. 6.8: conditional masked modelling on BAIR, frame prediction (FP) and eight tasks (MT8) (thesis 6.5.5).

Variant                          Row of the table                  FP FVD   MT8 FVD
latent, latent_mt8               latent masking in MaskGIT         74       151
prefix                           prefix condition                  55       not trained to convergence
mask, mask_mt8                   COMMIT, L_mask                    388      143
mask_recons, mask_recons_mt8     COMMIT, L_mask + L_recons         51       53
commit, commit_mt8               COMMIT, all three parts           48       33       (commit is the default)

FVD is debiased, and the sizes are B (87M parameters). The sequence has 1,026 tokens, of `prefix` 256 more:
the first latent frame stands before it. `prefix` trains L_mask and L_recons, `latent` L_mask only, as MaskGIT
does; with latent masking there are no condition tokens to refine.

Data and tokenizer: as in magvit/bair_transformer.py, the b of both.

Cost: 67,600 steps of 256 clips (400 epochs, FP), 202,800 (1,200 epochs, MT8), 15 and 45 hours at the thesis's
1.24 steps/s on 16 TPU-v2 chips. Time and memory are not measured here.

    magvit train --config=ablations/masking:latent --config.tokenizer=runs/bair_b --config.data.path=VIDEOS \
        --workdir=runs/masking_latent

`commit` is magvit/bair_transformer:b, and `commit_mt8` magvit/bair_mt_transformer:b. What is not named here
is as there.
"""

from ml_collections import ConfigDict

from ..magvit import bair_mt_transformer, bair_transformer

#: By row: the method, and the weights of the loss's parts.
ROWS = {
    "latent": ("latent", dict(refine=0.0, mask=1.0, reconstruct=0.0)),
    "prefix": ("prefix", dict(refine=0.0, mask=1.0, reconstruct=1.0)),
    "mask": ("commit", dict(refine=0.0, mask=1.0, reconstruct=0.0)),
    "mask_recons": ("commit", dict(refine=0.0, mask=1.0, reconstruct=1.0)),
    "commit": ("commit", dict(refine=1.0, mask=1.0, reconstruct=1.0)),
}
VARIANTS = (*ROWS, "latent_mt8", "mask_mt8", "mask_recons_mt8", "commit_mt8")


def get_config(variant: str = "commit") -> ConfigDict:
    multi_task = variant.endswith("_mt8")
    method, part_weights = ROWS[variant.removesuffix("_mt8")]
    config = (bair_mt_transformer if multi_task else bair_transformer).get_config("b")
    config.name = f"ablation_masking_{variant}"
    config.masking.method = method
    config.loss.part_weights.update(part_weights)
    return config
