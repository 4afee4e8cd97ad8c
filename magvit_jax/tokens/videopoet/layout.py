"""The order of a sequence's parts, known before any token is (thesis Fig. 8.2).

    <bos> <task> [<bot_i> text <eot_i>] [<bov_i> visual <eov_i>]* [<boa_i> audio <ea_i>]
    [<source>] [<res>] [duration]
    [<bov_o> visual <eov_o>] [<boa_o> audio <ea_o>] <eos>

The prefix is everything up to and with the first <bov_o> or <boa_o>: what is asked for is known, so it is not
predicted.
"""

import dataclasses

from magvit_jax.errors import UserError
from magvit_jax.tokens.videopoet.clip import ClipShape
from magvit_jax.tokens.videopoet.tasks import Part, SequenceTask, sequence_task
from magvit_jax.tokens.videopoet.vocabulary import SPECIAL, UnifiedVocabulary

MAX_TEXT = 64  # 8.4.6
_BRACKETS = {
    ("visual", False): ("bov_i", "eov_i"),
    ("audio", False): ("boa_i", "ea_i"),
    ("visual", True): ("bov_o", "eov_o"),
    ("audio", True): ("boa_o", "ea_o"),
}


@dataclasses.dataclass(frozen=True)
class Span:
    """Tokens that stand together.

    Attributes:
        kind: "special", "source" (one id, known at run time), "text", "visual" or "audio".
        length: number of tokens, for text of slots.
        special: the id, of kind "special".
        part: what it is, of kinds "visual" and "audio".
        first, last: which frames of the part's source, latent frames or audio frames; `last` is not among
            them.
        with_text: left out where an example has no text.
    """

    kind: str
    length: int
    special: int = 0
    part: Part | None = None
    first: int = 0
    last: int = 0
    with_text: bool = False


@dataclasses.dataclass(frozen=True)
class Layout:
    """A task's sequence for clips of one shape. Made by `layout`.

    Attributes:
        task: what it is of.
        clip: shape of the clip.
        text_slots: tokens reserved for text behind <bot_i>; those that an example leaves unused are hidden.
        given: latent frames that are given, 0 where none are.
        prefix, output: the spans of both sides.
    """

    task: SequenceTask
    clip: ClipShape
    text_slots: int
    given: int
    prefix: tuple[Span, ...]
    output: tuple[Span, ...]

    @property
    def prefix_length(self) -> int:
        """Tokens seen by everybody, with every text slot and the source."""
        return sum(span.length for span in self.prefix)

    @property
    def output_length(self) -> int:
        return sum(span.length for span in self.output)

    @property
    def length(self) -> int:
        return self.prefix_length + self.output_length


def layout(
    task: str,
    clip: ClipShape,
    vocabulary: UnifiedVocabulary,
    *,
    text_slots: int,
    given: int | None = None,
) -> Layout:
    """The sequence of a task.

    Args:
        task: a name of `SEQUENCE_TASKS`.
        clip: shape of the clips; images are the first frames of such clips.
        vocabulary: which resolutions, durations and sources have ids. Where it knows sources, one slot is
            kept for <source>, unused where an example's is not known.
        text_slots: 0 to 64.
        given: latent frames that are given, for a task that leaves it open (frame prediction).

    Raises:
        UserError: no text slots for a task of text, no sound for one of audio, nothing left to make, a size
            without id.
    """
    spec = sequence_task(task)
    _check(spec, clip, vocabulary, text_slots)
    count = _given(spec, clip, given)
    prefix = [_special("bos"), Span("special", 1, special=vocabulary.task_id(spec.prompt))]
    if text_slots:
        prefix += [
            dataclasses.replace(_special("bot_i"), with_text=True),
            Span("text", text_slots, with_text=True),
            dataclasses.replace(_special("eot_i"), with_text=True),
        ]
    for part in spec.inputs:
        prefix += _bracketed(part, clip, count, output=False, close=True)
    if vocabulary.sources:
        prefix.append(Span("source", 1))
    prefix += [Span("special", 1, special=i) for i in _size_ids(spec, clip, vocabulary)]
    output: list[Span] = []
    for part in spec.outputs:
        output += _bracketed(part, clip, count, output=True, close=spec.ends)
    if spec.ends:
        output.append(_special("eos"))
    return Layout(spec, clip, text_slots, count, (*prefix, output[0]), tuple(output[1:]))


def _check(spec: SequenceTask, clip: ClipShape, vocabulary: UnifiedVocabulary, text_slots: int) -> None:
    least = 1 if spec.text == "required" else 0
    if not least <= text_slots <= MAX_TEXT:
        raise UserError(f"task {spec.name!r}: {text_slots} text slots, expected {least} to {MAX_TEXT}")
    if any(part.kind == "audio" for part in (*spec.inputs, *spec.outputs)):
        if not clip.audio_tokens:
            raise UserError(f"task {spec.name!r} needs sound, and these clips have none")
        if clip.audio_levels != vocabulary.audio_levels:
            raise UserError(
                f"task {spec.name!r}: audio of {clip.audio_levels} levels, the vocabulary has "
                f"{vocabulary.audio_levels}"
            )


def _given(spec: SequenceTask, clip: ClipShape, given: int | None) -> int:
    if spec.given is not None:
        if given not in (None, spec.given):
            raise UserError(f"task {spec.name!r}: {given} given latent frames, expected {spec.given}")
        given = spec.given
    if given is None:
        raise UserError(f"task {spec.name!r}: expected the number of given latent frames")
    if spec.given != 0 and not 1 <= given < clip.grid.frames:
        raise UserError(
            f"task {spec.name!r}: {given} given latent frames of {clip.grid.frames}, expected 1 to "
            f"{clip.grid.frames - 1}"
        )
    return given


def _size_ids(spec: SequenceTask, clip: ClipShape, vocabulary: UnifiedVocabulary) -> list[int]:
    """<res> and the duration, where the output is seen and is not of the size meant anyway."""
    if not any(part.kind == "visual" for part in spec.outputs):
        return []
    frames, height, width = clip.grid.pixel_shape
    duration = None if spec.outputs[0].extent == "first" else vocabulary.duration_id(frames)
    return [i for i in (vocabulary.resolution_id(height, width), duration) if i is not None]


def _bracketed(part: Part, clip: ClipShape, given: int, *, output: bool, close: bool) -> list[Span]:
    begin, end = _BRACKETS[part.kind, output]
    total, held = clip.grid.frames, given
    if part.kind == "audio":
        total, held = clip.audio_frames, clip.audio_frames_of(given)
    first, last = {"all": (0, total), "first": (0, 1), "given": (0, held), "rest": (held, total)}[part.extent]
    if first == last:
        raise UserError(f"{part.source}: no frame in {part.extent!r} of {total}, expected 1 or more")
    size = clip.frame_tokens if part.kind == "visual" else clip.audio_levels
    spans = [_special(begin), Span(part.kind, size * (last - first), part=part, first=first, last=last)]
    return [*spans, _special(end)] if close else spans


def _special(name: str) -> Span:
    return Span("special", 1, special=SPECIAL[name])
