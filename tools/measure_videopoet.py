"""VideoPoet at small size on clips with sound: every task, and whether what is made shows what it was made from.

    python tools/measure_videopoet.py --workdir=DIR [--videos=DIR] [--steps=800] [--seeds=5] [--clips=64]
        [--tokenizer=WORKDIR_OR_BUNDLE] [--sound-tokenizer=WORKDIR_OR_BUNDLE] [--flow=DIR --depth=DIR]
        [--temperature=1.0] [--draws=1]

One tokenizer, one sound tokenizer (the quickstart's and soundstream/small, trained here where none are given), and for
each seed one model of every task at once: `videopoet/small`. Without a folder on the embedded digits that sound, with
captions of their labels, measured on held-out clips: every task but stylization. With one on its videos, each in a
folder whose name says what it shows and is its caption; some of them have to have sound. Stylization is among the tasks
where `--flow` and `--depth` name folders with videos of the same names. Such folders are small, so what is measured is
clips of the same files, at even places, which training may have seen: it says whether conditions are carried, not how
well new videos are modelled.

Measured for each seed, and compared over seeds (`magvit_jax.metrics.compare`): of text-to-video and audio-to-video, the
distance of what was made to real clips of its own condition against that to clips of others, in the features of
`fd_small`; of video-to-audio, the log spectral distance to the true sound against those of silence and of the mean
spectrum of the training sounds, frequency by frequency and by mel bands, over 80 dB and over the 40 dB below the
loudest. For every task, the share of its outputs that are whole, and can be taken apart. Where clips with sound are
few, `--draws` makes what is compared with its condition so often for each, with other seeds of the sampling.

Runs live in WORKDIR/steps_N/SEED; finished ones are skipped and an interrupted one goes on. At the end WORKDIR/steps_N
holds measured.json and measured.md, and of every task of the first seed some examples as mp4 with their sound.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from ml_collections import ConfigDict

from magvit_jax import bundles, metrics, workflows
from magvit_jax.cli.config_files import load_config
from magvit_jax.errors import UserError
from magvit_jax.evaluation.small_features import shipped
from magvit_jax.experiments import paired
from magvit_jax.experiments.multimodal_measures import Clips, measure, read_clips
from magvit_jax.generation.multimodal_chain import arguments_of
from magvit_jax.media.atomic import write_bytes
from magvit_jax.media.video_io import write_mp4
from magvit_jax.quickstart.run import stage_config
from magvit_jax.workflows.train import train

EXAMPLES = 4  # of each task, to look at
SAMPLE_RATE = 16_000  # of soundstream/small
NOISE_CLIPS = 64  # training sounds that the mean spectrum is of
#: What has to be better, what it has to be better than, and of which tasks.
PAIRS = (
    ("text_to_video own", "text_to_video others"),
    ("audio_to_video own", "audio_to_video others"),
    *(
        (f"video_to_audio distance{convention}", f"video_to_audio {baseline}{convention}")
        for convention in metrics.spectral_conventions(SAMPLE_RATE)
        for baseline in ("silence", "mean_spectrum")
    ),
)


class Videos(NamedTuple):
    """Folders: the user's videos, and those of their flow and depth, "" without."""

    path: Path
    flow: str = ""
    depth: str = ""


def run_config(videos: Videos | None, tokenizer: Path, sound: Path, steps: int, seed: int) -> ConfigDict:
    """The training config of one seed."""
    config = load_config(f"videopoet/small:{'small' if videos is None else 'clips'}")
    if videos is not None:
        config.data.path, config.data.sound = str(videos.path), "optional"
        config.data.captions, config.data.templates = "labels", ("{label}",)
        config.data.flow, config.data.depth = videos.flow, videos.depth
        if not (videos.flow and videos.depth):
            config.tasks.stylization.weight = 0.0
    config.tokenizer, config.sound_tokenizer = str(tokenizer), str(sound)
    config.seed = config.data.seed = seed
    config.training.steps, config.training.checkpoint_every = steps, max(steps // 4, 1)
    config.optimizer.warmup_steps = min(50, steps // 10)
    return config


def sound_config(videos: Videos | None) -> ConfigDict:
    """The training config of the sound tokenizer: of a user's few recordings it sees all but each one's end."""
    if videos is None:
        return load_config("soundstream/small:embedded")
    config = load_config("soundstream/small")
    config.data.path, config.data.held_out_by, config.data.held_out = str(videos.path), "time", 0.1
    return config


def frozen(workdir: Path, name: str, given: Path | None, config: ConfigDict) -> Path:
    """The folder of a frozen model: the one given, or trained here once."""
    if given is not None:
        return given
    folder = workdir / name
    train(config, folder)
    return folder


def measured_clips(config: ConfigDict, num: int) -> Clips:
    """Of the user's files those that it is trained on, of the embedded clips those held out."""
    return read_clips(config.data, "train" if config.data.path else "test", num)


def run(config: ConfigDict, folder: Path, seed: int, clips: int, sampling: Mapping[str, float]) -> dict[str, Any]:
    """One seed's result: from its file where it is finished, else trained and measured."""
    asked = dict(variant="videopoet", seed=seed, clips_at_most=clips, **sampling, config=config.to_dict())
    names = ("tokenizer", "sound_tokenizer")
    asked |= {name: bundles.read(config[name]).config["fingerprint"] for name in names}

    def make() -> Mapping[str, Any]:
        start = time.monotonic()
        train(config, folder)
        seconds = time.monotonic() - start
        measured = measured_clips(config, clips)
        sounds_NS = read_clips(config.data, "train", NOISE_CLIPS).with_sound().audio
        values = measure(bundles.load_generator(folder), measured, sounds_NS, **sampling)
        return dict(values=values, seconds=seconds)

    return paired.once(folder / "result.json", asked | dict(fd_small=shipped().fingerprint), make)


def comparisons(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Whether the first of each pair is the lower one over the seeds."""
    found = []
    for ours, other in PAIRS:
        a_S, b_S = ([result["values"][name] for result in results] for name in (ours, other))
        compared = metrics.compare(a_S, b_S, better="lower")
        verdict = {"a better": "nearer", "b better": "farther"}.get(compared.verdict, compared.verdict)
        means = dict(mean=float(np.mean(a_S)), other_mean=float(np.mean(b_S)))
        interval = dataclasses.asdict(compared.difference)
        found.append(dict(measure=ours, than=other, verdict=verdict, p_value=compared.p_value, **means, **interval))
    return found


def page(results: Sequence[Mapping[str, Any]], compared: Sequence[Mapping[str, Any]]) -> str:
    """The comparisons and the means over seeds, as Markdown."""
    rows = [
        [
            one["measure"],
            f"{one['mean']:.3f}",
            one["than"],
            f"{one['other_mean']:.3f}",
            f"{one['estimate']:.3f} ({one['low']:.3f} to {one['high']:.3f})",
            one["verdict"],
        ]
        for one in compared
    ]
    head = ["Of the model", "mean", "against", "mean", "difference (interval)", f"over {len(results)} seeds"]
    values = {name: [result["values"][name] for result in results] for name in results[0]["values"]}
    every = [[name, f"{np.mean(found):.4f}", f"{np.std(found):.4f}"] for name, found in values.items()]
    return f"{paired.markdown(head, rows)}\n{paired.markdown(['', 'mean over seeds', 'deviation'], every)}"


def write_examples(model: Path, clips: Clips, sample_rate: int, output: Path, temperature: float) -> None:
    """Some examples of every task, made from the first of the measured clips."""
    generator = bundles.load_generator(model)
    clips = clips.with_sound()
    heard = dict(audio_S=clips.audio[0], sample_rate=sample_rate)
    clip = write_mp4(output / "given.mp4", clips.video[0], generator.fps, **heard)
    there = dict(video=clip, audio=clip)
    for name in ("flow", "depth"):
        if (videos := getattr(clips, name)) is not None:
            there[name] = write_mp4(output / f"{name}.mp4", videos[0], generator.fps)
    for task in generator.tasks:
        given = arguments_of(task)
        files = workflows.Files(**{name: path for name, path in there.items() if name in given})
        workflows.generate_multimodal(
            generator,
            task,
            output / task,
            files=files,
            prompt=clips.texts[0],
            num=EXAMPLES,
            say=_quiet,
            temperature=temperature,
        )


def _quiet(line: str) -> None:
    """What is said of each file is of no interest here."""


def measure_all(flags: Any) -> str:
    """Trains and measures what is missing, writes the files, and returns the page."""
    folder = flags.workdir / f"steps_{flags.steps}"
    videos = None if flags.videos is None else Videos(flags.videos, flags.flow, flags.depth)
    pictures, heard = stage_config("tokenizer", "small", flags.videos), sound_config(videos)
    tokenizer = frozen(flags.workdir, "tokenizer", flags.tokenizer, pictures)
    sound = frozen(flags.workdir, "sound_tokenizer", flags.sound_tokenizer, heard)
    sampling = dict(temperature=flags.temperature, draws=flags.draws)
    results, configs = [], [run_config(videos, tokenizer, sound, flags.steps, n) for n in range(flags.seeds)]
    for seed, config in enumerate(configs):
        print(f"seed {seed} ({seed + 1} of {flags.seeds})", file=sys.stderr, flush=True)
        results.append(run(config, folder / str(seed), seed, flags.clips, sampling))
    data_config = configs[0].data
    clips = measured_clips(configs[0], flags.clips)
    write_examples(folder / "0", clips, data_config.sample_rate, folder / "examples", flags.temperature)
    compared = comparisons(results)
    text, values = page(results, compared), dict(results=results, comparisons=compared)
    write_bytes(folder / "measured.json", (json.dumps(values, indent=1) + "\n").encode())
    write_bytes(folder / "measured.md", text.encode())
    return text


def main() -> None:
    parser = paired.parser(__doc__, steps=800, clips=64)
    parser.add_argument("--videos", type=Path, help="folder of videos with sound; by default the embedded digits")
    parser.add_argument("--tokenizer", type=Path, help="bundle or workdir; by default the quickstart's is trained")
    parser.add_argument("--sound-tokenizer", type=Path, help="bundle or workdir; by default soundstream/small")
    parser.add_argument("--temperature", type=float, default=1.0, help="of the sampling (default: 1.0)")
    parser.add_argument("--draws", type=int, default=1, help="of what is compared with its condition (default: 1)")
    parser.add_argument("--flow", default="", help="folder of videos of optical flow, for stylization")
    parser.add_argument("--depth", default="", help="folder of videos of depth, for stylization")
    flags = parser.parse_args()
    if (flags.flow or flags.depth) and not (flags.flow and flags.depth and flags.videos):
        parser.error("--flow and --depth go together, with --videos")
    paired.require_sizes(parser, flags)
    try:
        print(measure_all(flags))
    except UserError as error:
        sys.exit(f"measure_videopoet: {error}")


if __name__ == "__main__":
    main()
