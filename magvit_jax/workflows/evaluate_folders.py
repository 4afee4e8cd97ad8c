"""Measures clips that somebody made and stored against real ones, by a protocol; no model is needed."""

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from magvit_jax.errors import UserError
from magvit_jax.evaluation.measured import Measured
from magvit_jax.evaluation.metric_set import NAMES, PIXELS, MetricSet
from magvit_jax.evaluation.protocols import Protocol, protocol
from magvit_jax.evaluation.protocols.clips import ClipSet, made_clips, real_clips
from magvit_jax.evaluation.sounds import measure_fad
from magvit_jax.evaluation.streams import Seconds, timed
from magvit_jax.media.tables import Result
from magvit_jax.pretrained import MissingWeights
from magvit_jax.pretrained.encoders import SoundEncoder
from magvit_jax.workflows.metric_sets import measured_json, measured_rows, open_metric_set

GROUP = "samples"
FAD = "fad"
_PUSHED = 16  # clips handed on at once
_SAID = 256  # clips between two lines of progress


def evaluate_folders(
    samples: str | os.PathLike,
    real: str | os.PathLike | None,
    metrics: Sequence[str],
    *,
    protocol_name: str = "given_clips",
    num: int | None = None,
    captions: str | os.PathLike | None = None,
    weights_dir: str | os.PathLike | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> tuple[dict[str, Any], list[Result]]:
    """Measures a folder of clips, one a file, in the order of their names.

    Args:
      samples: the clips; all folds, one after the other. Where clips are compared in pairs, sample i stands for
        real clip i (or, best of S, sample i for real clip i // S).
      real: folder of real videos, which the protocol cuts; None where no metric compares with any.
      metrics: names out of those of the protocol.
      protocol_name: one of `evaluation.PROTOCOLS`.
      num: clips at most on either side.
      captions: for "clipsim": a file with a line "name<TAB>text" for each sample.
      weights_dir: as of `evaluate`. A metric whose weights are not there is left out; the others go on.
      seed: of what the protocol draws at random.
      say: gets lines of progress, and why a metric is left out.

    Returns:
      As `evaluate`: "results" with their protocol, "missing", "seconds"; and the same as rows of a table.

    Raises:
      UserError: an unknown protocol, a metric that is not measured by it, folders without clips, clips that differ
        in shape, or another number of them than pairs need.
    """
    chosen = protocol(protocol_name)
    for name in metrics:
        if name not in chosen.metrics or name not in (*NAMES, FAD):
            known = ", ".join(known for known in chosen.metrics if known in (*NAMES, FAD))
            raise UserError(f"metric {name!r} is not measured of folders by {chosen.name}; expected some of {known}")
    seconds = Seconds()
    values: dict[str, Any] = {"samples": os.fspath(samples), "protocol": chosen.to_json()}
    results: list[Measured] = []
    of_clips = [name for name in metrics if name != FAD]
    metric_set, missing = open_metric_set(of_clips, chosen, weights_dir, seconds, say)
    if metric_set.names:
        results += _clips(metric_set, chosen, samples, real, num, captions, seed, say)
    if FAD in metrics:
        results += _sounds(chosen, samples, real, num, weights_dir, seconds, missing, say)
    values["results"] = measured_json(GROUP, results)
    if missing:
        values["missing"] = missing
    values["seconds"] = dataclasses.asdict(seconds)
    if results:
        say(seconds.line())
    return values, measured_rows(GROUP, results)


def _clips(
    metric_set: MetricSet, chosen: Protocol, samples, real, num, captions, seed: int, say
) -> list[Measured]:
    seconds, names = metric_set.seconds, set(metric_set.names)
    made = made_clips(chosen, samples, num)
    real_set = None
    if names - {"is", "video_is", "clipsim"}:
        if real is None:
            raise UserError(f"metric {sorted(names)[0]} compares with real clips: expected their folder as --input")
        real_set = real_clips(chosen, real, num, seed)
        for batch in _counted(real_set, "real clips", seconds, say):
            metric_set.add_real(batch)
    texts = _texts(captions, made.names) if "clipsim" in names else None
    folds, first = _folds(chosen, made.count), 0
    for batch in _counted(made, "samples", seconds, say):
        for row, clip_THWC in enumerate(batch):
            number = first + row
            fold = number * folds // made.count
            asked = texts[number : number + 1] if texts else ()
            metric_set.add_made(GROUP, clip_THWC[None], paired=chosen.reconstructs, fold=fold, texts=asked)
        first += len(batch)
    if names & {*PIXELS, "lpips"}:
        _pairs(metric_set, chosen, real_set, made, say)
    warning = "; ".join(part for part in (real_set.warning if real_set else "", made.warning) if part)
    return metric_set.results(warning).get(GROUP, [])


def _pairs(metric_set: MetricSet, chosen: Protocol, real: ClipSet, made: ClipSet, say) -> None:
    """Sample by sample beside the real clip that it stands for, over the frames that were not given."""
    if made.count != real.count * chosen.best_of:
        raise UserError(
            f"{chosen.name}: {made.count} samples for {real.count} real clips; expected {chosen.best_of} for each"
        )
    repeated = (clip for clip in real for _ in range(chosen.best_of))
    pairs = zip(repeated, made, strict=True)
    given = chosen.given_frames
    for real_clip, made_clip in timed(pairs, metric_set.seconds, "decode"):
        metric_set.add_pairs(GROUP, real_clip[:, given:], made_clip[:, given:])
    say(f"pairs: {made.count} of {made.count} clips")


def _sounds(chosen, samples, real, num, weights_dir, seconds, missing, say) -> list[Measured]:
    if real is None:
        raise UserError("metric fad compares with real sounds: expected their folder as --input")
    try:
        encoder = SoundEncoder.load(weights_dir)
    except MissingWeights as error:
        missing[FAD] = str(error)
        say(f"{FAD} is left out: {error}")
        return []
    return [measure_fad(real, samples, chosen, encoder, seconds, num=num, say=say)]


def _folds(chosen: Protocol, count: int) -> int:
    """Whole folds that the samples fill; fewer samples than one fold are one."""
    return max(1, min(chosen.folds, count // chosen.samples)) if chosen.samples else 1


def _counted(clips: ClipSet, what: str, seconds: Seconds, say) -> Iterator[np.ndarray]:
    """Clips in larger pieces, with lines of progress."""
    done, iterator = 0, iter(clips)
    pieces = iter(lambda: list(itertools.islice(iterator, _PUSHED)), [])
    for piece in timed(pieces, seconds, "decode"):
        yield np.concatenate(piece)
        done += len(piece)
        if done % _SAID < len(piece) or done == clips.count:
            say(f"{what}: {done} of {clips.count} clips")


def _texts(captions: str | os.PathLike | None, names: Sequence[str]) -> list[str]:
    """The text of each clip."""
    if captions is None:
        raise UserError("metric clipsim: expected a file with a line 'name<TAB>text' for each sample as --captions")
    try:
        lines = Path(captions).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{captions}: cannot be read: {error.strerror}") from error
    texts = dict(line.split("\t", 1) for line in lines if "\t" in line)
    for name in names:
        if name not in texts:
            raise UserError(f"{captions}: no line for {name}; expected 'name<TAB>text' for each sample")
    return [texts[name] for name in names]
