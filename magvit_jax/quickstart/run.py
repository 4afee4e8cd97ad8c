"""`magvit quickstart`: every stage goes on from where it was interrupted."""

import dataclasses
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
from ml_collections import ConfigDict

import magvit_jax
from magvit_jax import bundles, data
from magvit_jax.cli.config_files import load_config
from magvit_jax.errors import UserError
from magvit_jax.media.atomic import write_bytes
from magvit_jax.media.tables import results_text
from magvit_jax.quickstart.measure import Measured, Measurements
from magvit_jax.quickstart.report import result_rows, write_report
from magvit_jax.quickstart.scales import SCALES
from magvit_jax.workflows.train import train


class Timer:
    """Announces stages and keeps how long each took, in seconds."""

    def __init__(self, say: Callable[[str], None]):
        self.say, self.seconds = say, {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.say(f"\n== {name}")
        start = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - start


def quickstart(
    workdir: Path, videos: Path | None = None, scale_name: str = "small", say: Callable[[str], None] = print
) -> Measurements:
    """Trains a tokenizer and a generator on the embedded clips or a folder of videos, and reports.

    Writes tokenizer/ and generator/ (training runs), bundles/ (the exported models), results.json and report.html
    into `workdir`. Started again, it goes on from the last checkpoint.

    Args:
      videos: folder of videos; None takes the embedded moving digits.
      scale_name: one of `SCALES`.

    Raises:
      UserError: no readable video, or a workdir of another quickstart.
    """
    if scale_name not in SCALES:
        raise UserError(f"scale {scale_name!r} is unknown; expected one of {', '.join(SCALES)}")
    scale, workdir = SCALES[scale_name], Path(workdir)
    if videos is not None:
        scale = scale.without_targets()
    configs = {stage: stage_config(stage, scale.variant, videos) for stage in ("tokenizer", "generator")}
    configs["generator"].tokenizer = str(workdir / "bundles" / "tokenizer")
    timer = Timer(say)
    sources = {split: data.build_source(configs["tokenizer"].data, split) for split in ("train", "test")}
    say(f"{data.describe(sources['train'])}\nabout {scale.minutes:g} minutes on two CPU cores")
    for stage, config in configs.items():
        with timer.stage(f"training the {stage}, {config.training.steps} steps"):
            train(config, workdir / stage)
            bundles.write(bundles.from_workdir(workdir / stage), workdir / "bundles" / stage)
    generator = magvit_jax.load_generator(workdir / "bundles" / "generator")
    spec = data.ClipSpec.from_config(configs["generator"].data)
    measured = _measure(Measured(generator, sources, spec, scale), timer)
    rows = result_rows(measured, scale)
    facts = _facts(configs, generator, timer)
    _write_results(workdir / "results.json", measured, timer)
    report = write_report(
        workdir / "report.html",
        measured,
        scale,
        class_names=generator.class_names,
        logs={stage: workdir / stage / "metrics.jsonl" for stage in configs},
        facts=facts,
        commands=next_commands(workdir, videos),
    )
    say(f"\n{results_text(rows)}\n")
    say(f"{facts['time']}; peak memory {facts['peak memory']}")
    say(f"report: {report}")
    return measured


def stage_config(stage: str, variant: str, videos: Path | None) -> ConfigDict:
    """The shipped config of a stage, pointed at the user's videos where there are some."""
    config = load_config(f"quickstart/{stage}:{variant}")
    if videos is not None:
        config.data.source = "video_folder"
        config.data.path = str(videos)
        config.data.random_crop = True
    return config


def _measure(measured: Measured, timer: Timer) -> Measurements:
    with timer.stage("measuring reconstruction"):
        reconstruction = measured.reconstruction()
    with timer.stage("measuring frame prediction"):
        prediction = measured.prediction()
    with timer.stage("generating clips by class"):
        generated, labels = measured.generate(measured.scale.generated_clips)
    with timer.stage("measuring whether the classes are recognised"):
        recognition = measured.recognition(generated, labels)
    return Measurements(reconstruction, prediction, recognition, measured.examples(generated, labels))


def _facts(configs: dict[str, ConfigDict], generator, timer: Timer) -> dict[str, str]:
    tokenizer = generator.tokenizer
    t, h, w = tokenizer.model.latent_shape(*tokenizer.clip.shape)
    frames, height, width = tokenizer.clip.shape
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    compression = "x".join(map(str, tokenizer.model.compression))
    return {
        "tokens": f"{t}x{h}x{w} of {tokenizer.model.bits} bits for {frames} frames of {height}x{width} "
        f"(compression {compression}, 2^{tokenizer.model.bits} codes)",
        "tokenizer": f"{_count(tokenizer.params):.2f}M parameters, {configs['tokenizer'].training.steps} steps",
        "transformer": f"{_count(generator.params):.2f}M parameters, {configs['generator'].training.steps} steps",
        "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "time": f"{sum(timer.seconds.values()) / 60:.1f} minutes ("
        + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in timer.seconds.items())
        + ")",
        "peak memory": f"{peak / 2**30:.1f} GiB",
    }


def _count(params) -> float:
    return sum(x.size for x in jax.tree.leaves(params)) / 1e6


def _write_results(path: Path, measured: Measurements, timer: Timer) -> None:
    results = {
        name: dataclasses.asdict(value) if value is not None else None
        for name, value in (
            ("reconstruction", measured.reconstruction),
            ("frame_prediction", measured.prediction),
            ("recognition", measured.recognition),
        )
    }
    write_bytes(path, (json.dumps(results | {"seconds": timer.seconds}, indent=1) + "\n").encode())


def next_commands(workdir: Path, videos: Path | None) -> list[tuple[str, str]]:
    """(what it does, the command) to go on with."""
    model = workdir / "bundles" / "generator"
    clip = "FILE" if videos is None else f"{videos}"
    return [
        ("clips of a class", f"magvit generate --model={model} --task=class_conditional --output=generated"),
        (
            "go on from the first frames of a video",
            f"magvit generate --model={model} --task=frame_prediction --input={clip} --output=predicted",
        ),
        (
            "a video through the tokenizer",
            f"magvit reconstruct --model={model} --input={clip} --output=reconstructed",
        ),
        ("the same on your own videos", "magvit quickstart --videos=FOLDER --workdir=my_quickstart"),
        ("longer, better", "magvit quickstart --scale=full --workdir=full_quickstart"),
        (
            "the tokenizer alone, from its config",
            "magvit train --config=quickstart/tokenizer --config.training.steps=5000 --workdir=runs/tokenizer",
        ),
    ]
