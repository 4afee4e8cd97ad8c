"""MAGVIT transformer for videos of the web: eight tasks with one model (thesis ch. 6, MT).

Paper: Tab. 6.7: FVD over the eight tasks of 33.0 with b (87M parameters) and 21.6 with l (306M). Variants: b,
the default, l, and h (634M), of which the thesis shows pictures only and whose epochs it does not give: here
those of l. The tasks are all but the two that have a class, drawn alike often; 12 steps, cosine, temperature
4.5.

Data: the authors' 12 million videos are not public; any folder of videos. The tokenizer is magvit/web12m of
the same variant, and its l for h.

Cost: 468,750 steps of 256 clips (b), 4.4 days, or 937,500 (l), 4.0 days, at the thesis's 1.24 steps/s on 16
TPU-v2 chips (b) and 2.70 on 32 TPU-v4 chips (l). Time and memory are not measured here. h takes as many steps
as l, of twice its work.

    magvit train --config=magvit/web12m_transformer:b --config.tokenizer=runs/web12m_b \
        --config.data.path=VIDEOS --workdir=runs/web12m_transformer_b
"""

from ml_collections import ConfigDict

from .. import _decoding, _tasks
from . import _transformer, web12m

EPOCHS = {"b": 10, "l": 20, "h": 20}  # Tab. 6.10
VARIANTS = tuple(EPOCHS)


def get_config(variant: str = "b") -> ConfigDict:
    return _transformer.transformer_config(
        "web12m_transformer",
        variant,
        tasks=_tasks.mixture(_tasks.EIGHT, decoding=_decoding.DEFAULT),
        epochs=EPOCHS,
        videos=web12m.VIDEOS,
    )
