"""What each task of VideoPoet takes and makes, as data (thesis 8.3.3)."""

import dataclasses
from collections.abc import Mapping

from magvit_jax.errors import UserError

#: What a part can be made of, and whether it is seen or heard.
SOURCES: Mapping[str, str] = {
    "video": "visual",
    "masked": "visual",  # the clip of inpainting and outpainting: codes, -1 where nothing is given
    "flow": "visual",
    "depth": "visual",
    "audio": "audio",
}
#: Which of its frames: all; the first latent frame alone, as an image; the given ones; those after them.
EXTENTS = ("all", "first", "given", "rest")


@dataclasses.dataclass(frozen=True)
class Part:
    """One modality on one side of a sequence: `source` a key of `SOURCES`, `extent` one of `EXTENTS`."""

    source: str
    extent: str

    @property
    def kind(self) -> str:
        """ "visual" or "audio"."""
        return SOURCES[self.source]


@dataclasses.dataclass(frozen=True)
class SequenceTask:
    """One task: its prefix, and what is generated.

    Attributes:
        name: key in `SEQUENCE_TASKS`.
        prompt: its <task> token, one of `vocabulary.PROMPTS`.
        text: "required" or "optional". Without text its brackets are left out as well.
        inputs, outputs: visual parts before audio, as in Fig. 8.2.
        given: latent frames that are given; None where it is chosen for a layout, 0 where none are.
        ends: False for images, which omit <eov_o> and <eos>, so that a video can go on from them.
    """

    name: str
    prompt: str
    text: str
    inputs: tuple[Part, ...]
    outputs: tuple[Part, ...]
    given: int | None = 0
    ends: bool = True


_VIDEO, _AUDIO = Part("video", "all"), Part("audio", "all")
_GIVEN, _REST = Part("video", "given"), Part("video", "rest")

SEQUENCE_TASKS: Mapping[str, SequenceTask] = {
    task.name: task
    for task in (
        SequenceTask("unconditional", "video", "optional", (), (_VIDEO,)),
        SequenceTask("text_to_image", "video", "required", (), (Part("video", "first"),), ends=False),
        SequenceTask("text_to_video", "video", "required", (), (_VIDEO,)),
        SequenceTask("image_to_video", "video", "optional", (_GIVEN,), (_REST,), given=1),
        SequenceTask("frame_prediction", "video", "optional", (_GIVEN,), (_REST,), given=None),
        SequenceTask("inpainting", "painting", "optional", (Part("masked", "all"),), (_VIDEO,)),
        SequenceTask("outpainting", "painting", "optional", (Part("masked", "all"),), (_VIDEO,)),
        SequenceTask(
            "stylization", "stylization", "required", (Part("flow", "all"), Part("depth", "all")), (_VIDEO,)
        ),
        SequenceTask("audio_to_video", "video", "optional", (_AUDIO,), (_VIDEO,)),
        SequenceTask("video_to_audio", "audio", "optional", (_VIDEO,), (_AUDIO,)),
        SequenceTask(
            "audio_video_continuation",
            "audio_video",
            "optional",
            (_GIVEN, Part("audio", "given")),
            (_REST, Part("audio", "rest")),
            given=1,
        ),
    )
}


def sequence_task(name: str) -> SequenceTask:
    """The task of that name. UserError naming those that there are."""
    if name not in SEQUENCE_TASKS:
        raise UserError(f"task {name!r} is unknown; VideoPoet's are: {', '.join(SEQUENCE_TASKS)}")
    return SEQUENCE_TASKS[name]
