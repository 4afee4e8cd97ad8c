"""A table's rows at the thesis's own size, on its data sets, by the protocols of its columns."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from magvit_jax import bundles
from magvit_jax.errors import UserError
from magvit_jax.evaluation.metric_set import NAMES, PIXELS
from magvit_jax.evaluation.protocols import Protocol, protocol
from magvit_jax.evaluation.protocols.clips import at_measured_size, real_clips
from magvit_jax.evaluation.streams import Seconds
from magvit_jax.experiments import measures
from magvit_jax.experiments.models import datasets, missing_data, models
from magvit_jax.experiments.records import measure_of
from magvit_jax.experiments.tables import Column, Table
from magvit_jax.generation.generator import Generator
from magvit_jax.generation.multimodal import MultimodalGenerator
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.workflows.metric_sets import open_metric_set

GROUP = "model"
BATCH = 16
#: Folders of a data set that hold a protocol's split, the first that is there.
SPLITS = {"train": ("train",), "test": ("test", "val", "validation")}
#: Metrics of reconstructions that need no network, by the name of `measures.reconstruction`.
OF_RECONSTRUCTION = ("l1", "l2", "codebook_use", "entropy_bits")
EIGHT = (
    "frame_prediction", "frame_interpolation", "central_outpainting", "vertical_outpainting",
    "horizontal_outpainting", "dynamic_outpainting", "central_inpainting", "dynamic_inpainting",
)  # fmt: skip
TEN = (*EIGHT, "class_conditional", "class_conditional_frame_prediction")


Trained = Tokenizer | Generator | MultimodalGenerator


@dataclasses.dataclass(frozen=True)
class Scale:
    """What "paper" means for one table.

    Attributes:
      data: folder with the data sets' folders; None where the user named none.
      weights_dir: of the metrics' networks; `MAGVIT_WEIGHTS` by default.
      say: gets lines of progress.
    """

    table: Table
    data: Path | None
    weights_dir: Path | None
    say: Callable[[str], None]
    name = "paper"

    @property
    def data_name(self) -> str:
        return "the thesis's data sets"

    def why_not(self, model: str) -> str:
        """Which data set is missing of a model's training or measuring, or of those that it starts from."""
        return missing_data(model, self.data, (column.dataset for column in self.columns(model)))

    def needs(self, model: str) -> Mapping[str, str]:
        return models()[model].needs

    def config(self, model: str, seed: int) -> ConfigDict:
        own = models()[model]
        config = own.load(f"data.path={self.data / datasets()[own.data].folder}")
        config.seed = config.data.seed = seed
        return config

    def asked(self, model: str) -> dict[str, Any]:
        return dict(measured=[measure_of(column, "paper") for column in self.columns(model)])

    def columns(self, model: str) -> list[Column]:
        """The columns in which the table shows the model."""
        rows = self.table.rows
        return [column for column in self.table.columns if model in {row.model_of(column) for row in rows}]

    def measure(self, model: str, workdir: Path, config: ConfigDict) -> dict[str, Any]:
        """Values and what is missing, by `measure_of` each column."""
        kind = bundles.read(workdir).kind
        trained = bundles.load_tokenizer(workdir) if kind == "tokenizer" else bundles.load_generator(workdir)
        values: dict[str, float] = {}
        missing: dict[str, str] = {}
        for (name, task), columns in _by_protocol(self.columns(model)).items():
            if name:
                folder = split_folder(self.data / datasets()[columns[0].dataset].folder, protocol(name).real.split)
                found, lacking = self._protocol(trained, name, task, columns, folder)
            else:
                found, lacking = without_clips(trained), {}
            for column in columns:
                measure = measure_of(column, "paper")
                if column.metric in found:
                    values[measure] = found[column.metric]
                else:
                    missing[measure] = lacking.get(column.metric, f"{column.metric} is not measured of a {kind}")
        return dict(values=values, missing=missing)

    def _protocol(
        self, trained: Trained, name: str, task: str, columns: Sequence[Column], folder: Path
    ) -> tuple[dict[str, float], dict[str, str]]:
        wanted = [column.metric for column in columns]
        chosen = protocol(name)
        if chosen.frames == 0:
            how = f"`magvit reconstruct --stream`, then `magvit evaluate --samples=DIR --protocol={name}`"
            return {}, dict.fromkeys(wanted, f"whole videos: {how}")
        if isinstance(trained, MultimodalGenerator):
            how = f"`magvit generate`, then `magvit evaluate --samples=DIR --protocol={name}`"
            return {}, dict.fromkeys(wanted, f"clips of given texts: {how}")
        if isinstance(trained, Tokenizer):
            return reconstructed(trained, chosen, wanted, folder, self.weights_dir, self.say)
        if task not in ("eight", "ten"):
            return generated(trained, chosen, task, wanted, folder, self.weights_dir, self.say)
        # The mean over the tasks; of the ten, those by class alone are compared with training clips.
        each, lacking = [], {}
        for one in EIGHT if task == "eight" else TEN:
            by = protocol("ssv2_class_fvd") if one == "class_conditional" else chosen
            real = split_folder(folder.parent, by.real.split)
            found, lacking = generated(trained, by, one, wanted, real, self.weights_dir, self.say)
            each.append(found)
        return {key: float(np.mean([found[key] for found in each])) for key in each[0]}, lacking


def without_clips(trained: Trained) -> dict[str, float]:
    """What does not hang on any clip's content: lengths and times of a generator, on this machine."""
    if not isinstance(trained, Generator):
        return {}
    found = measures.efficiency(trained, np.zeros((BATCH, *trained.clip.shape, 3), np.uint8))
    return found | dict(frames_per_second=1 / found["seconds_per_frame"])


def reconstructed(
    tokenizer: Tokenizer, chosen: Protocol, wanted: Sequence[str], folder: Path, weights_dir, say
) -> tuple[dict[str, float], dict[str, str]]:
    """The protocol's real clips through the tokenizer: values and what is missing, by metric."""
    # Whole clips of its own length, also where only the first frame counts: not every tokenizer takes fewer.
    frames = max(fitting_frames(tokenizer, chosen.frames), tokenizer.clip.frames)
    real = real_clips(dataclasses.replace(chosen, frames=frames), folder)
    metric_set, missing = open_metric_set([m for m in wanted if m in NAMES], chosen, weights_dir, Seconds(), say)
    if metric_set.names:
        for number, video in enumerate(_batches(real), 1):
            output = np.asarray(tokenizer.reconstruct(video))[:, : chosen.frames]
            shown = video[:, : chosen.frames]
            metric_set.add_real(shown)
            metric_set.add_made(GROUP, output, paired=True)
            metric_set.add_pairs(GROUP, shown, output)
            say(f"{chosen.name}: {min(number * BATCH, real.count)} of {real.count} clips")
    values = {found.metric: found.value for found in metric_set.results(real.warning).get(GROUP, [])}
    if set(wanted) & set(OF_RECONSTRUCTION):
        batches = [dict(video=video) for video in _batches(real)]
        found = measures.reconstruction(tokenizer, batches, frames, chosen.frames)
        values |= {name: found[name] for name in wanted if name in OF_RECONSTRUCTION}
    return values, missing


def generated(
    generator: Generator, chosen: Protocol, task: str, wanted: Sequence[str], folder: Path, weights_dir, say
) -> tuple[dict[str, float], dict[str, str]]:
    """The protocol's samples of a task, conditioned on its real clips in turn: values and what is missing."""
    if task not in generator.tasks:
        raise UserError(f"task {task}: the model knows {', '.join(generator.tasks)} only")
    metric_set, missing = open_metric_set([m for m in wanted if m in NAMES], chosen, weights_dir, Seconds(), say)
    if not metric_set.names:
        return {}, missing
    real = real_clips(chosen, folder)
    for video in _batches(real):
        metric_set.add_real(video)
    pixels = bool({*PIXELS, "lpips"} & set(metric_set.names))
    total = real.count * chosen.best_of if pixels else (chosen.samples or real.count) * chosen.folds
    beside = (clip for clip in real for _ in range(chosen.best_of))
    made = 0
    for output in samples(generator, chosen, task, folder, total):
        shown = at_measured_size(np.round(output[:, : chosen.frames] * 255).astype(np.uint8), chosen)
        for clip_THWC in shown:
            fold = made * chosen.folds // total
            metric_set.add_made(GROUP, clip_THWC[None], paired=False, fold=fold)
            if pixels:
                given = chosen.given_frames
                metric_set.add_pairs(GROUP, next(beside)[:, given:], clip_THWC[None, given:])
            made += 1
        say(f"{chosen.name}, {task}: {made} of {total} clips")
    return {found.metric: found.value for found in metric_set.results(real.warning).get(GROUP, [])}, missing


def samples(
    generator: Generator, chosen: Protocol, task: str, folder: Path, total: int
) -> Iterator[np.ndarray]:
    """Batches of clips, float in [0, 1]: the real clips in turn are the condition, or the classes in turn."""
    given = generator.mixture.tasks[generator.tasks.index(task)]
    uses_pixels = bool(given.given(generator.clip.shape).any())
    conditions: Iterator[np.ndarray] = iter(())
    if uses_pixels:
        # At the size and length that the model takes, before what is done for measuring.
        whole = dataclasses.replace(chosen, frames=generator.clip.frames, size=chosen.made_size, resize="none")
        clips = real_clips(whole, folder)
        repeated = (clip for clip in itertools.cycle(clips) for _ in range(chosen.best_of))
        conditions = itertools.islice(repeated, total)
    for first in range(0, total, BATCH):
        count = min(BATCH, total - first)
        arguments: dict[str, Any] = dict(num=count, first=first)
        if uses_pixels:
            arguments["video"] = np.concatenate(list(itertools.islice(conditions, count)))
        if given.uses_class:
            classes = max(len(generator.class_names), 1)
            arguments["label"] = [number % classes for number in range(first, first + count)]
        output = np.asarray(generator.generate(task, **arguments))
        yield output[:, None] if generator.makes_images else output


def fitting_frames(tokenizer: Tokenizer, frames: int) -> int:
    """So many frames, or the next number that the tokenizer takes: 17 for 16 where the first has its own latents."""
    step, first = tokenizer.model.compression[0], int(tokenizer.model.leading_frame)
    return first + -(-(frames - first) // step) * step


def split_folder(dataset: Path, split: str) -> Path:
    """The folder of a protocol's split: `train`, or of any other `test`, `val` or `validation`."""
    for name in SPLITS.get(split, SPLITS["test"]):
        if (dataset / name).is_dir():
            return dataset / name
    raise UserError(f"{dataset}: no folder {' or '.join(SPLITS.get(split, SPLITS['test']))} for the split {split!r}")


def _batches(clips: Any) -> Iterator[np.ndarray]:
    iterator = iter(clips)
    yield from map(np.concatenate, iter(lambda: list(itertools.islice(iterator, BATCH)), []))


def _by_protocol(columns: Sequence[Column]) -> Mapping[tuple[str, str], list[Column]]:
    groups: dict[tuple[str, str], list[Column]] = {}
    for column in columns:
        groups.setdefault((column.protocol, column.task), []).append(column)
    return groups
