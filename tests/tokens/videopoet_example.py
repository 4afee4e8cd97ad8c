"""A clip small enough to write out: 2 latent frames of 1x2 tokens, 5 audio frames of 2 levels."""

import jax.numpy as jnp
import numpy as np

from magvit_jax.tokens.grid import LatentGrid
from magvit_jax.tokens.videopoet import ClipShape, Plan, UnifiedVocabulary, build, layout

VOCABULARY = UnifiedVocabulary(
    visual_codes=16,
    audio_levels=2,
    audio_codes=8,
    text_ids=10,
    sources=("web", "film"),
    resolutions=((8, 16), (16, 8)),
    durations=(5, 9),
)
CLIP = ClipShape(LatentGrid(2, 1, 2, (4, 8, 8), True, True), fps=8.0, audio_rate=8.0, audio_levels=2)
CODES = {
    "video": jnp.asarray([[[[1, 2]], [[3, 4]]]]),
    "masked": jnp.asarray([[[[5, -1]], [[-1, 6]]]]),
    "flow": jnp.asarray([[[[7, 8]], [[9, 10]]]]),
    "depth": jnp.asarray([[[[11, 12]], [[13, 14]]]]),
    "audio": jnp.asarray([[[0, 7], [1, 6], [2, 5], [3, 4], [4, 3]]]),  # [B, frames, levels]
}
AUDIO = "a0:0 a0:1 a0:2 a0:3 a0:4 a1:7 a1:6 a1:5 a1:4 a1:3"
TEXT = jnp.asarray([[3, 1, 9]])


def plan_of(*tasks, text_slots=3, clip=CLIP, vocabulary=VOCABULARY, given=1):
    """A plan of some tasks, "frame_prediction" with `given` latent frames."""
    return Plan(
        tuple(
            layout(
                task,
                clip,
                vocabulary,
                text_slots=text_slots,
                given=given if task == "frame_prediction" else None,
            )
            for task in tasks
        ),
        vocabulary,
    )


def sequence_of(plan, index=0, words=2, source=-1, codes=CODES, text=TEXT):
    """One example's sequence."""
    return build(
        plan,
        jnp.asarray([index]),
        {name: codes[name] for name in plan.needs},
        text_count_B=jnp.asarray([words]),
        text_BT=text[:, : plan.text_slots],
        source_B=jnp.asarray([source]),
    )


def used(sequences, row=0, vocabulary=VOCABULARY):
    """Its ids in words, unused columns left out, in the order of segments and positions."""
    keep = np.flatnonzero(np.asarray(sequences.segment_BL[row]) > 0)
    position, segment = (np.asarray(x[row])[keep] for x in (sequences.position_BL, sequences.segment_BL))
    order = np.lexsort((position, segment))
    return " ".join(vocabulary.describe(np.asarray(sequences.ids_BL[row])[keep[order]]))
