"""The one vocabulary of text, images, video and audio (thesis 8.3.1, 8.4.6, Tab. 8.3).

    [0, 256)                  special ids: Tab. 8.3, task prompts, sources, resolutions, durations
    [256, 256 + 2^18)         visual codes
    ... + 4 x 1,024           audio codes, the residual levels one after the other
    ... + text_ids            the small text vocabulary

With the published sizes and 32,128 ids of text that is 298,624 ("approximately 300,000").
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.typing import Array

NUM_SPECIAL = 256
#: The ids of Tab. 8.3 that are one id, behind padding; `mask` stands where a masked video holds nothing,
#: `text` in a text slot whose embedding is known and whose ids are not.
SINGLES = ("pad", "bos", "bot_i", "eot_i", "bov_i", "eov_i", "boa_i", "ea_i")
SINGLES += ("bov_o", "eov_o", "boa_o", "ea_o", "eos", "mask", "text")
SPECIAL = {name: index for index, name in enumerate(SINGLES)}
#: Families of special ids: first id, and the end. Fixed places, so that a new member moves no other id.
FAMILIES = {"task": (32, 64), "source": (64, 192), "resolution": (192, 224), "duration": (224, 256)}
#: <task>: one for each kind of output, and one where the same kind of input means something else
#: (docs/fidelity.md).
PROMPTS = ("video", "painting", "stylization", "audio", "audio_video")


@dataclasses.dataclass(frozen=True)
class UnifiedVocabulary:
    """Sizes of the vocabulary; every id follows from them.

    Attributes:
        visual_codes: size of the visual tokenizer's codebook.
        audio_levels, audio_codes: residual levels of the audio tokenizer, and codes of each.
        text_ids: size of the text vocabulary; 0 for text by embeddings alone.
        sources: names of where videos come from, at most 128; none may be known.
        resolutions: (height, width) in pixels. The first is meant where a sequence names none.
        durations: frames of a video. The first is meant where a sequence names none.
    """

    visual_codes: int
    audio_levels: int
    audio_codes: int
    text_ids: int
    sources: tuple[str, ...]
    resolutions: tuple[tuple[int, int], ...]
    durations: tuple[int, ...]

    def __post_init__(self):
        for name, least in (("visual_codes", 2), ("audio_levels", 0), ("audio_codes", 0), ("text_ids", 0)):
            if getattr(self, name) < least:
                raise UserError(f"vocabulary: {name} is {getattr(self, name)}, expected {least} or more")
        for field, family, least in (
            ("sources", "source", 0),
            ("resolutions", "resolution", 1),
            ("durations", "duration", 1),
        ):
            members, room = getattr(self, field), FAMILIES[family][1] - FAMILIES[family][0]
            if not least <= len(members) <= room or len(set(members)) != len(members):
                expected = f"{least} to {room}, all different"
                raise UserError(f"vocabulary: {field} {list(members)}, expected {expected}")

    @property
    def audio_start(self) -> int:
        return NUM_SPECIAL + self.visual_codes

    @property
    def text_start(self) -> int:
        return self.audio_start + self.audio_levels * self.audio_codes

    @property
    def size(self) -> int:
        return self.text_start + self.text_ids

    @property
    def visual_range(self) -> tuple[int, int]:
        """First visual id, and the one after the last."""
        return NUM_SPECIAL, self.audio_start

    @property
    def text_range(self) -> tuple[int, int]:
        return self.text_start, self.size

    def audio_range(self, level: int) -> tuple[int, int]:
        """First id of a residual level, counted from 0, and the one after its last."""
        if not 0 <= level < self.audio_levels:
            raise UserError(f"audio level {level}: expected 0 to {self.audio_levels - 1}")
        first = self.audio_start + level * self.audio_codes
        return first, first + self.audio_codes

    def task_id(self, prompt: str) -> int:
        return _member("task", prompt, PROMPTS)

    def source_id(self, source: str) -> int:
        return _member("source", source, self.sources)

    def resolution_id(self, height: int, width: int) -> int | None:
        """Id of <res>; None for the resolution that is meant where none is named (8.4.6)."""
        return _unless_first("resolution", (height, width), self.resolutions)

    def duration_id(self, frames: int) -> int | None:
        """Id of the duration; None for the one that is meant where none is named."""
        return _unless_first("duration", frames, self.durations)

    def visual(self, codes: Array) -> Array:
        """Codes of any shape -> int32 ids; a negative code is a place where nothing is given: <mask>."""
        codes = jnp.asarray(codes, jnp.int32)
        return jnp.where(codes < 0, SPECIAL["mask"], codes + NUM_SPECIAL)

    def visual_codes_of(self, ids: Array) -> Array:
        """The way back from `visual`; an id that is no visual one is -1."""
        ids = jnp.asarray(ids, jnp.int32)
        first, end = self.visual_range
        return jnp.where((ids >= first) & (ids < end), ids - first, -1)

    def audio(self, codes_BfQ: Array) -> Array:
        """Codes of Q levels -> int32 ids [B, Q * f], level by level ("we transpose the clip", 8.3.1)."""
        codes_BQf = jnp.swapaxes(jnp.asarray(codes_BfQ, jnp.int32), 1, 2)
        if codes_BQf.shape[1] != self.audio_levels:
            raise UserError(f"audio of {codes_BQf.shape[1]} levels: expected {self.audio_levels}")
        first_Q = self.audio_start + self.audio_codes * jnp.arange(self.audio_levels, dtype=jnp.int32)
        return (codes_BQf + first_Q[None, :, None]).reshape(codes_BQf.shape[0], -1)

    def audio_codes_of(self, ids_BL: Array) -> Array:
        """The way back from `audio` -> int32 [B, f, Q]; an id that is not of its place's level is -1."""
        ids_BQf = jnp.asarray(ids_BL, jnp.int32).reshape(ids_BL.shape[0], self.audio_levels, -1)
        first_Q = self.audio_start + self.audio_codes * jnp.arange(self.audio_levels, dtype=jnp.int32)
        codes_BQf = ids_BQf - first_Q[None, :, None]
        codes_BQf = jnp.where((codes_BQf >= 0) & (codes_BQf < self.audio_codes), codes_BQf, -1)
        return jnp.swapaxes(codes_BQf, 1, 2)

    def text(self, ids: Array) -> Array:
        """Ids of the text's own vocabulary -> int32 ids of this one."""
        return jnp.asarray(ids, jnp.int32) + self.text_start

    def describe(self, ids: np.ndarray) -> list[str]:
        """Names of ids, for messages: "<bos>", "<task:video>", "v17", "a2:513" (of level 2), "t7"."""
        return [self._describe(int(i)) for i in np.ravel(ids)]

    def _describe(self, i: int) -> str:
        if 0 <= i < len(SINGLES):
            return f"<{SINGLES[i]}>"
        if NUM_SPECIAL <= i < self.audio_start:
            return f"v{i - NUM_SPECIAL}"
        if self.audio_start <= i < self.text_start:
            return "a{}:{}".format(*divmod(i - self.audio_start, self.audio_codes))
        if self.text_start <= i < self.size:
            return f"t{i - self.text_start}"
        for family, (first, end) in FAMILIES.items():
            members = self.members(family)
            if first <= i < end and i - first < len(members):
                member = members[i - first]
                return f"<{family}:{'x'.join(map(str, member)) if isinstance(member, tuple) else member}>"
        return f"<unknown:{i}>"

    def members(self, family: str) -> tuple:
        """Members of a family of special ids, in the order of their ids."""
        return {
            "task": PROMPTS,
            "source": self.sources,
            "resolution": self.resolutions,
            "duration": self.durations,
        }[family]


#: The published sizes (8.3.1, 8.4.6), with T5's 32,128 pieces as the text vocabulary. Height first: 128x224
#: is upright.
PUBLISHED = UnifiedVocabulary(
    visual_codes=2**18,
    audio_levels=4,
    audio_codes=1024,
    text_ids=32_128,
    sources=(),
    resolutions=((128, 128), (224, 128)),
    durations=(17, 41),
)


def _member(family: str, name, members: tuple) -> int:
    if name not in members:
        known = ", ".join(map(str, members)) or "none"
        raise UserError(f"{family} {name!r} is unknown; known are: {known}")
    return FAMILIES[family][0] + members.index(name)


def _unless_first(family: str, name, members: tuple) -> int | None:
    index = _member(family, name, members)
    return None if name == members[0] else index
