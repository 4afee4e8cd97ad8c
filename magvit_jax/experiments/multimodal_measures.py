"""What can be measured of a VideoPoet without anybody's weights: whether it makes what it is asked for (thesis 8.4)."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from magvit_jax import data, metrics
from magvit_jax.errors import UserError
from magvit_jax.evaluation.conditions import condition_distances
from magvit_jax.evaluation.small_features import shipped
from magvit_jax.generation.multimodal import Made, MultimodalGenerator
from magvit_jax.generation.multimodal_chain import arguments_of
from magvit_jax.tokens.videopoet import UnifiedVocabulary, parse, sequence_task
from magvit_jax.tokens.videopoet.vocabulary import SPECIAL

BATCH = 32
COMPARED = ("text_to_video", "audio_to_video", "video_to_audio")  # tasks that are compared with their condition


class Clips(NamedTuple):
    """Real clips that a model is measured on.

    Attributes:
        video: uint8 [N, T, H, W, 3].
        audio: float32 [N, S]; None without sound.
        heard: bool [N], which clips have sound.
        texts: of each.
        owners: int [N], which clips count as the same condition where a clip's own sound is it: those of one recording.
        flow, depth: as video; None without.
    """

    video: np.ndarray
    audio: np.ndarray | None
    heard: np.ndarray
    texts: Sequence[str]
    owners: np.ndarray
    flow: np.ndarray | None = None
    depth: np.ndarray | None = None

    def with_sound(self) -> "Clips":
        """Those that have it."""
        keep = np.flatnonzero(self.heard)
        arrays = {name: value[keep] for name, value in self._asdict().items() if isinstance(value, np.ndarray)}
        return self._replace(**arrays, texts=tuple(self.texts[i] for i in keep))


def read_clips(config: ConfigDict, split: str, num: int) -> Clips:
    """The first clips of a `config.data` of a multimodal source, as evaluation sees them: nothing is drawn.

    Silence, which has no spectrum to compare with, counts as no sound. Of files, a clip's like are those of its
    recording; of the embedded data each is its own.

    Raises:
        UserError: fewer than two clips with sound.
    """
    source = data.build_source(config, split)
    spec = dataclasses.replace(data.build_spec(config), flip=False, random_crop=False)
    rng = np.random.default_rng(0)
    found = [source.clip(index, rng, spec, False) for index in range(min(num, len(source)))]
    heard = np.asarray([bool(clip["has_audio"]) and np.abs(clip["audio"]).max() > 0 for clip in found])
    if heard.sum() < 2:
        raise UserError(f"{config.path or config.source}: {heard.sum()} {split} clips with sound; expected 2 or more")
    owners = [int(clip["label"]) for clip in found] if config.path else range(len(found))
    video, audio = (np.stack([clip[name] for clip in found]) for name in ("video", "audio"))
    beside = {name: np.stack([clip[name] for clip in found]) for name in ("flow", "depth") if name in found[0]}
    return Clips(video, audio, heard, tuple(clip["caption"] for clip in found), np.asarray(owners), **beside)


def measure(
    generator: MultimodalGenerator,
    clips: Clips,
    sounds_NS: np.ndarray | None,
    seed: int = 0,
    draws: int = 1,
    **settings: Any,
) -> dict[str, float]:
    """Every task for each clip that can serve it.

    Args:
        sounds_NS: training sounds, whose mean spectrum is the baseline of video-to-audio; None without sound.
        seed: of the sampling.
        draws: how often the tasks of `COMPARED` are done, with one seed after the other: where clips are few, chance
            in the sampling counts. Values are means over the draws; other tasks are done once.
        settings: of the sampling, as of `MultimodalGenerator.generate`, such as temperature.

    Returns:
        Of every task "TASK valid": the share of the generated ids that are codes where codes have to be, and "TASK
        parses": the share of the generated sequences that `parse` takes apart into what the task makes. Of every task
        that makes videos "TASK fd_small". Of text-to-video and audio-to-video "TASK own" and "TASK others", see
        `condition_distances`, on the features of `fd_small`, and "TASK gap", the second less the first. Of
        video-to-audio "distance", "silence" and "mean_spectrum", log spectral distances from the true sound in dB,
        and the same by the other `metrics.spectral_conventions`: "of mel bands", "within 40 dB".
    """
    values = {"clips": float(len(clips.video)), "clips with sound": float(clips.heard.sum())}
    for task in generator.tasks:
        own = clips.with_sound() if hears(task) else clips
        arguments = values_of(task, own)
        if arguments is None:
            continue
        drawn = []
        for draw in range(draws if task in COMPARED else 1):
            made = _joined(_made(generator, task, arguments, dict(settings, seed=seed + draw)))
            drawn.append(_measured(task, made, own, sounds_NS, generator.vocabulary))
        values |= {name: float(np.mean([one[name] for one in drawn])) for name in drawn[0]}
    return values


def _measured(
    task: str, made: Made, own: Clips, sounds_NS: np.ndarray | None, vocabulary: UnifiedVocabulary
) -> dict[str, float]:
    """What `measure` says of one draw of a task."""
    values = {
        f"{task} valid": np.mean([(code >= 0).mean() for code in made.codes.values()]),
        f"{task} parses": np.mean([parses(task, ids_O, vocabulary) for ids_O in made.ids]),
    }
    if made.video is not None and made.video.shape[1] == own.video.shape[1]:
        made_NF, real_NF = shipped()(made.video), shipped()(own.video)
        values[f"{task} fd_small"] = metrics.frechet_distance(real_NF, made_NF)
        values |= _conditions(task, made_NF, real_NF, own)
    if task == "video_to_audio":
        values |= _sounds(task, own.audio, np.asarray(made.audio), sounds_NS, made.sample_rate)
    return values


def parses(task: str, ids_O: np.ndarray, vocabulary: UnifiedVocabulary) -> bool:
    """Whether ids that a task generated, <pad> behind them, are its outputs and nothing else."""
    spec = sequence_task(task)
    kinds = [part.kind for part in spec.outputs]
    begin = [SPECIAL["bos"], vocabulary.task_id(spec.prompt), SPECIAL["boa_o" if kinds[0] == "audio" else "bov_o"]]
    used = np.flatnonzero(np.asarray(ids_O) != SPECIAL["pad"])
    try:
        found = parse(np.concatenate([begin, ids_O[: used.max(initial=-1) + 1]]), vocabulary)
    except UserError:
        return False
    return [kind for kind, _ in found.outputs] == kinds and found.ended == spec.ends


def hears(task: str) -> bool:
    """Whether a task takes or makes sound."""
    spec = sequence_task(task)
    return any(part.kind == "audio" for part in (*spec.inputs, *spec.outputs))


def values_of(task: str, clips: Clips) -> dict[str, Any] | None:
    """What `generate` is given for these clips, the text only where the task needs one; None where they lack it."""
    spec = sequence_task(task)
    values = {name: getattr(clips, name) for name in arguments_of(task) - {"mask"}}
    if any(value is None for value in values.values()) or (hears(task) and clips.audio is None):
        return None
    if spec.text == "required":
        values["prompt"] = list(clips.texts)
    return values or {"num": len(clips.video)}


def _made(
    generator: MultimodalGenerator, task: str, arguments: Mapping[str, Any], sampling: Mapping[str, Any]
) -> Iterator[Made]:
    total = arguments.get("num") or len(next(iter(arguments.values())))
    for first in range(0, total, BATCH):
        last = min(first + BATCH, total)
        own = {name: value[first:last] for name, value in arguments.items() if name != "num"}
        yield generator.generate(task, **own, num=last - first, first=first, **sampling)


def _joined(parts: Iterator[Made]) -> Made:
    parts = list(parts)

    def join(values):
        return None if values[0] is None else np.concatenate([np.asarray(value) for value in values])

    codes = {name: join([part.codes[name] for part in parts]) for name in parts[0].codes}
    arrays = {name: join([getattr(part, name) for part in parts]) for name in ("video", "audio", "ids")}
    return parts[0]._replace(codes=codes, **arrays)


def _conditions(task: str, made_NF: np.ndarray, real_NF: np.ndarray, clips: Clips) -> dict[str, float]:
    if task == "text_to_video":
        labels_N = np.unique(list(clips.texts), return_inverse=True)[1]
    elif task == "audio_to_video":
        labels_N = np.asarray(clips.owners)
    else:
        return {}
    own_N, others_N = condition_distances(made_NF, real_NF, labels_N[:, None] == labels_N[None])
    own, others = float(own_N.mean()), float(others_N.mean())
    return {f"{task} own": own, f"{task} others": others, f"{task} gap": others - own}


def _sounds(
    task: str, real_NS: np.ndarray, made_NS: np.ndarray, sounds_NS: np.ndarray, sample_rate: int
) -> dict[str, float]:
    values = {}
    for words, convention in metrics.spectral_conventions(sample_rate).items():
        noise_F = metrics.mean_spectrum(sounds_NS, **convention)
        distances = {
            "distance": metrics.log_spectral_distance(real_NS, made_NS, **convention),
            "silence": metrics.log_spectral_distance(real_NS, np.zeros_like(real_NS), **convention),
            "mean_spectrum": metrics.mean_spectrum_distance(real_NS, noise_F, **convention),
        }
        values |= {f"{task} {name}{words}": float(value_N.mean()) for name, value_N in distances.items()}
    return values
