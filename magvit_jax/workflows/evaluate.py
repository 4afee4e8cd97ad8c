"""Measures a model on a folder of videos, or on the embedded test clips."""

import dataclasses
import itertools
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from magvit_jax import bundles, data
from magvit_jax.errors import UserError
from magvit_jax.evaluation import evaluate_frame_prediction, evaluate_reconstruction
from magvit_jax.evaluation.measured import measure_counts, measure_mean
from magvit_jax.evaluation.protocols import MODEL_CLIPS, Protocol, protocol
from magvit_jax.evaluation.protocols.clips import real_clips
from magvit_jax.evaluation.reconstruction import Reconstruction
from magvit_jax.evaluation.small_features import NAME as FD_SMALL
from magvit_jax.evaluation.streams import Seconds, timed
from magvit_jax.generation.generator import Generator
from magvit_jax.media.tables import Result
from magvit_jax.metrics import CodebookCounts, bits_per_pixel, entropy_bits_per_pixel, repeat_frame
from magvit_jax.tokenizer.tokenizer import ClipFormat, Tokenizer
from magvit_jax.workflows.fd_small import FdSmallOfModel
from magvit_jax.workflows.metric_sets import (
    OF_SETS,
    ModelClips,
    measured_json,
    measured_rows,
    open_metric_set,
)
from magvit_jax.workflows.task_scores import measure_tasks, task_rows

BPP = "bpp"
METRICS = ("psnr", "ssim", "codebook", BPP, "frame_prediction", "tasks", FD_SMALL, *OF_SETS)
OF_GENERATORS = ("frame_prediction", "tasks", "clipsim")
OF_IDS = ("codebook", BPP)
BATCH = 64
Batches = Sequence[Mapping[str, np.ndarray]]


def evaluate(
    model: str | os.PathLike,
    source: str | os.PathLike | None,
    metrics: Sequence[str],
    num: int | None = 256,
    say: Callable[[str], None] = print,
    weights_dir: str | os.PathLike | None = None,
    protocol_name: str = MODEL_CLIPS.name,
) -> tuple[dict[str, Any], list[Result]]:
    """Measures the model of a bundle or workdir.

    Args:
      source: folder of videos (all of them are used); None takes the embedded test clips.
      metrics: names out of `METRICS`. "frame_prediction", "tasks" and "clipsim" need a generator. "tasks" is the PSNR
        of every task that is given pixels, see `evaluation.tasks`. "fd_small" and the metrics of sets (`OF_SETS`)
        are measured for the reconstructions, and for each of a generator's tasks "frame_prediction" and
        "class_conditional"; "clipsim" for the last one only.
      num: clips at most; None for all.
      say: gets a line of progress after each batch, and why a metric is left out.
      weights_dir: folder with the weights of the metrics' networks; `MAGVIT_WEIGHTS` by default. A metric whose
        weights are not there is left out; the others go on.
      protocol_name: `model_clips`, which takes clips of the model's own form; or a protocol of reconstruction, which
        cuts its clips out of `source`.

    Returns:
      The numbers by name, and the same as rows of a table. "results" are those that name their protocol and their
      network, "missing" says of each metric that was left out which file it lacks, "seconds" where the time went.

    Raises:
      UserError: an unknown metric, one that the protocol does not measure, a model that cannot be measured so, or no
        readable video.
    """
    for name in metrics:
        if name not in METRICS:
            raise UserError(f"metric {name!r} is unknown; expected some of {', '.join(METRICS)}")
    kind = bundles.read(model).kind
    for name in OF_GENERATORS:
        if name in metrics and kind != "generator":
            raise UserError(
                f"{model}: holds a {kind}; metric {name} needs a generator of video alone, or clips as --samples"
            )
    tokenizer = bundles.load_tokenizer(model)
    seconds, chosen = Seconds(), protocol(protocol_name)
    of_sets = [name for name in metrics if name in OF_SETS]
    metric_set, missing = open_metric_set(of_sets, chosen, weights_dir, seconds, say)
    found, warning = _clips_of(chosen, tokenizer.clip, source, num)
    if chosen != MODEL_CLIPS:
        _require_measured(metrics, chosen)
    clips = list(timed(found, seconds, "decode"))
    run = _Run(
        protocol=chosen,
        warning=warning,
        metrics=frozenset(metrics),
        clips=clips,
        say=say,
        values={"model": str(model), "fingerprint": tokenizer.fingerprint, "protocol": chosen.to_json()},
        rows=[],
        distances=FdSmallOfModel(clips) if FD_SMALL in metrics else None,
        sets=ModelClips(metric_set),
        seconds=seconds,
    )
    if run.sets.needed or {"psnr", "ssim", FD_SMALL, *OF_IDS} & run.metrics:
        run.reconstruction(tokenizer)
    if kind == "generator" and (run.sets.needed or {"frame_prediction", "tasks", FD_SMALL} & run.metrics):
        run.generation(bundles.load_generator(model))
    run.finish()
    if missing:
        run.values["missing"] = missing
    if of_sets:
        run.values["seconds"] = dataclasses.asdict(seconds)
        if run.sets.needed:
            say(seconds.line())
    return run.values, run.rows


def _require_measured(metrics: Sequence[str], chosen: Protocol) -> None:
    """UserError for the first metric that a protocol does not measure; how ids are used can be asked of any."""
    for name in metrics:
        if name not in (*chosen.metrics, *OF_IDS):
            known = ", ".join(known for known in (*chosen.metrics, *OF_IDS) if known in METRICS)
            raise UserError(f"metric {name!r} is not measured by {chosen.name}; expected some of {known}")


def _clips_of(
    chosen: Protocol, clip: ClipFormat, source: str | os.PathLike | None, num: int | None
) -> tuple[Iterator[Mapping[str, np.ndarray]], str]:
    """Batches of a protocol's clips, and what about them is not as it says."""
    if chosen == MODEL_CLIPS:
        return test_clips(clip, source, num), ""
    if not chosen.reconstructs:
        raise UserError(f"{chosen.name} is a protocol of clips that were made: expected them as --samples")
    if source is None:
        whose = chosen.real.dataset
        raise UserError(f"{chosen.name} takes clips of {whose}: expected a folder of its videos as --input")
    wanted, has = (chosen.frames, chosen.made_size, chosen.made_size), (clip.frames, clip.height, clip.width)
    if wanted != has:
        found = f"the model takes {has[0]} frames of {has[1]}x{has[2]}"
        raise UserError(f"{chosen.name}: clips of {wanted[0]} frames of {wanted[1]}x{wanted[2]}; {found}")
    clips = real_clips(chosen, source, num)
    iterator = iter(clips)
    pieces = iter(lambda: list(itertools.islice(iterator, BATCH)), [])
    return ({"video": np.concatenate(piece)} for piece in pieces), clips.warning


def counted(batches: Batches, what: str, say: Callable[[str], None]) -> Iterator[Mapping[str, np.ndarray]]:
    """The batches; after each, `say` gets how many clips are done."""
    total, done = sum(len(batch["video"]) for batch in batches), 0
    for batch in batches:
        yield batch
        done += len(batch["video"])
        say(f"{what}: {done} of {total} clips")


def test_clips(
    clip: ClipFormat, source: str | os.PathLike | None, num: int | None
) -> Iterator[Mapping[str, np.ndarray]]:
    """Batches of the clips that a model is measured on, in its own format."""
    config = ConfigDict(
        dict(
            dataclasses.asdict(clip),
            source="embedded" if source is None else "video_folder",
            path="" if source is None else os.fspath(source),
            flip=False,
            random_crop=False,
            smallest_crop=1.0,
            seed=0,
            size=1,
            held_out=0.5,  # not used: a folder is measured whole
            cache_mb=256,
        )
    )
    split = "test" if source is None else "all"
    return data.eval_batches(
        data.build_source(config, split), data.ClipSpec.from_config(config), batch_size=BATCH, num=num
    )


@dataclasses.dataclass
class _Run:
    """One evaluation: what is asked for, the clips, and what was found so far."""

    protocol: Protocol
    warning: str
    metrics: frozenset[str]
    clips: Batches
    say: Callable[[str], None]
    values: dict[str, Any]
    rows: list[Result]
    distances: FdSmallOfModel | None
    sets: ModelClips
    seconds: Seconds

    def reconstruction(self, tokenizer: Tokenizer) -> None:
        """Every clip through the tokenizer."""
        made, all_ids = [], []

        def reconstruct(video: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            with self.seconds.time("model"):
                ids = tokenizer.encode(video)
                output = np.asarray(tokenizer.decode(ids))
            ids = np.asarray(ids)
            if self.distances is not None:
                made.append(self.distances.features(output))
            self.sets.real(video)
            self.sets.reconstructed(video, output)
            all_ids.extend(ids)
            return ids, output

        counted_clips = counted(self.clips, "reconstruction", self.say)
        if {"psnr", "ssim", FD_SMALL, *OF_IDS} & self.metrics:
            codes = tokenizer.model.codebook_size
            result = evaluate_reconstruction(reconstruct, codes, counted_clips)
            self.values["reconstruction"] = dataclasses.asdict(result)
            self.rows += reconstruction_rows(result, self.metrics, codes)
            self._ids(all_ids, codes)
        else:
            for batch in counted_clips:
                reconstruct(batch["video"])
        if self.distances is not None:
            self.distances.add("reconstruction", made, paired=True)

    def _ids(self, clips: list[np.ndarray], codes: int) -> None:
        """Numbers of the ids by themselves, with intervals over clips."""
        pixels = int(np.prod(self.clips[0]["video"].shape[1:4]))
        asked: list[tuple[str, str, Callable[[CodebookCounts], float], str]] = [
            ("codebook", "codebook_use", lambda counts: counts.usage, "higher"),
            ("codebook", "codebook_perplexity", lambda counts: counts.perplexity, "higher"),
            ("codebook", "codebook_entropy", lambda counts: counts.entropy, "higher"),
            (BPP, "bpp_entropy", lambda c: entropy_bits_per_pixel(c, c.total * pixels // clips[0].size), "lower"),
        ]
        found = [
            measure_counts(name, self.protocol, clips, codes, value, better=better)
            for metric, name, value, better in asked
            if metric in self.metrics
        ]
        if BPP in self.metrics:
            values_N = [bits_per_pixel(ids.size, codes, pixels) for ids in clips]
            found.append(measure_mean(BPP, self.protocol, np.asarray(values_N), better="lower"))
            self.rows += measured_rows("reconstruction", found[-2:])
        if found:
            self.values.setdefault("results", []).extend(measured_json("reconstruction", found))

    def generation(self, generator: Generator) -> None:
        """What a generator does with the same clips."""
        of_sets = self.distances is not None or self.sets.needed
        if "tasks" in self.metrics:
            scores = measure_tasks(generator, counted(self.clips, "tasks", self.say))
            self.values["tasks"] = {name: dataclasses.asdict(score) for name, score in scores.items()}
            self.rows += task_rows(scores)
        if "frame_prediction" in self.metrics or (of_sets and "frame_prediction" in generator.tasks):
            self._prediction(generator)
        if of_sets and "class_conditional" in generator.tasks:
            self._classes(generator)

    def _prediction(self, generator: Generator) -> None:
        if "frame_prediction" not in generator.tasks:
            raise UserError(
                f"metric frame_prediction: the model knows the tasks {', '.join(generator.tasks)} only"
            )
        given = generator.mixture.tasks[generator.tasks.index("frame_prediction")].given_frames
        made, repeated = [], []

        def predict(video: np.ndarray) -> np.ndarray:
            with self.seconds.time("model"):
                output = np.asarray(generator.generate("frame_prediction", video=video[:, :given]))
            if self.distances is not None:
                made.append(self.distances.features(output))
                frozen = np.concatenate([video[:, :given], repeat_frame(video, given - 1)[:, given:]], axis=1)
                repeated.append(self.distances.features(frozen))
            self.sets.predicted(video, output, given)
            return output

        clips = counted(self.clips, "frame prediction", self.say)
        if "frame_prediction" in self.metrics:
            result = evaluate_frame_prediction(predict, generator.tokenizer.reconstruct, given, clips)
            self.values["frame_prediction"] = dataclasses.asdict(result)
            self.rows += prediction_rows(result, given)
        else:
            for batch in clips:
                predict(batch["video"])
        if self.distances is not None:
            trivial = "repeating the last given frame"
            self.distances.add("frame_prediction", made, repeated, trivial, paired=True)

    def _classes(self, generator: Generator) -> None:
        """As many clips as there are real ones, the classes in turn."""
        made, first, names = [], 0, generator.class_names
        for batch in counted(self.clips, "generation by class", self.say):
            numbers = range(first, first + len(batch["video"]))
            labels = [number % len(names) for number in numbers]
            with self.seconds.time("model"):
                output = np.asarray(generator.generate("class_conditional", label=labels, first=first))
            if self.distances is not None:
                made.append(self.distances.features(output))
            self.sets.generated(output, [names[label] for label in labels])
            first = numbers.stop
        if self.distances is not None:
            self.distances.add("class_conditional", made, paired=False)

    def finish(self) -> None:
        """What can be said only once all clips are seen."""
        if self.distances is not None:
            self.values[FD_SMALL] = self.distances.values()
            self.rows += self.distances.rows()
        self.sets.write(self.values, self.rows, self.warning)


def reconstruction_rows(result: Reconstruction, metrics: Collection[str], codes: int) -> list[Result]:
    """Rows of the metrics that are asked for."""
    rows, over = [], f"{result.clips} clips"
    if "psnr" in metrics:
        rows.append(
            Result(
                f"reconstruction PSNR, {over}{_interval(result.psnr_low, result.psnr_high, 2)}",
                result.psnr,
                baseline=result.psnr_mean_frame,
                unit="dB",
                baseline_name="clip's mean frame",
            )
        )
    if "ssim" in metrics:
        interval = _interval(result.ssim_low, result.ssim_high, 3)
        rows.append(Result(f"reconstruction SSIM, {over}{interval}", result.ssim, digits=3))
    if "codebook" in metrics:
        rows.append(Result("share of the codebook in use", result.codebook_use, digits=3))
        perplexity = result.codebook_perplexity
        rows.append(Result("codebook perplexity", perplexity, ceiling=float(codes), digits=0))
    return rows


def _interval(low: float | None, high: float | None, digits: int) -> str:
    return "" if low is None else f" (95%: {low:.{digits}f} to {high:.{digits}f})"


def prediction_rows(result, given: int, margin: float | None = None) -> list[Result]:
    """Rows of a table; `margin` is the promised distance over the baseline in dB."""
    shared = dict(baseline_name="repeating the last given frame", ceiling_name="tokenizer")
    return [
        Result(
            f"frame prediction from {given} frames, PSNR of unseen frames, {result.clips} clips",
            result.psnr,
            baseline=result.psnr_repeat_last,
            ceiling=result.psnr_ceiling,
            target=None if margin is None else result.psnr_repeat_last + margin,
            unit="dB",
            **shared,
        ),
        Result(
            "frame prediction, SSIM of unseen frames",
            result.ssim,
            baseline=result.ssim_repeat_last,
            ceiling=result.ssim_ceiling,
            target=None if margin is None else result.ssim_repeat_last,
            digits=3,
            **shared,
        ),
    ]
