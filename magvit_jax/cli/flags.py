"""All flags of all commands, parsed in one place."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import magvit_jax
from magvit_jax.errors import UserError
from magvit_jax.generation.settings import DECODINGS
from magvit_jax.pretrained.t5 import T5_SIZES
from magvit_jax.pretrained.table import NETWORKS
from magvit_jax.quickstart.scales import SCALES
from magvit_jax.sampling.guidance import GUIDANCE_SCHEDULES

#: Commands that take `--config.a.b=VALUE`.
OVERRIDES = ("train", "compile")


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The command's flags, and the `--config...` arguments of `OVERRIDES`, which `config_files.load_config` reads.

    Raises:
      SystemExit: on --help, or with status 2 on a flag that does not exist.
    """
    args, rest = parser().parse_known_args(list(argv))
    if rest and args.command not in OVERRIDES:
        raise UserError(
            f"magvit {args.command}: unknown argument {rest[0]!r}; see magvit {args.command} --help"
        )
    for argument in rest:
        if not argument.startswith("--config."):
            raise UserError(
                f"magvit {args.command}: unknown argument {argument!r}; overrides look like --config.a.b=VALUE"
            )
    return args, rest


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="magvit",
        description="Train, measure and use video tokenizers and generative video transformers.",
    )
    top.add_argument("--version", action="version", version=f"magvit_jax {magvit_jax.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _quickstart(commands.add_parser("quickstart", help="from video files to generated video, with a report"))
    _train(commands.add_parser("train", help="train what a config describes"))
    _compile(commands.add_parser("compile", help="whether and how well a config would run on a TPU slice"))
    _shards(commands.add_parser("shards", help="cut videos into clips, in shards"))
    _tokenize(commands.add_parser("tokenize", help="encode videos to token ids, in shards, or sounds"))
    _embed_text(commands.add_parser("embed-text", help="embed captions with a frozen T5, in shards"))
    _reconstruct(commands.add_parser("reconstruct", help="encode and decode videos, images or sounds"))
    _generate(commands.add_parser("generate", help="generate clips with a trained transformer"))
    _gallery(commands.add_parser("gallery", help="a page with every task of a generator for one clip"))
    _evaluate(commands.add_parser("evaluate", help="measure a model on a folder of videos"))
    _experiment(commands.add_parser("experiment", help="a table of the thesis with our column beside its own"))
    _convert(commands.add_parser("convert", help="write somebody else's checkpoint as a bundle"))
    _export(commands.add_parser("export", help="write a training workdir as a bundle"))
    return top


def _quickstart(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--workdir", type=Path, default=Path("magvit_quickstart"), help="where everything is written"
    )
    command.add_argument(
        "--videos", type=Path, help="folder of your own videos; the embedded clips by default"
    )
    command.add_argument(
        "--scale", choices=list(SCALES), default="small", help="how long it trains (default: small)"
    )


def _train(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", required=True, help="a config file or the name of a shipped one, [:variant]"
    )
    command.add_argument(
        "--workdir", type=Path, required=True, help="folder of the run; an interrupted run goes on"
    )
    _processes(command)


def _compile(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", required=True, help="a config file or the name of a shipped one, [:variant]"
    )
    command.add_argument(
        "--topology", required=True, help="a slice, such as v5e:4x4, v6e:16x16 or v5p:4x4x4"
    )
    command.add_argument("--slices", type=int, default=1, help="so many slices of that topology (default: 1)")
    command.add_argument(
        "--what",
        choices=["train", "train-images", "sample"],
        default="train",
        help="a training step, that of a batch of images in between, or a call of sampling",
    )
    command.add_argument("--task", help="what is sampled; the first task of the config by default")
    command.add_argument(
        "--classes", type=int, default=0, help="of the training data, which is not read (default: 0)"
    )
    command.add_argument(
        "--no-code",
        action="store_true",
        help="stop before machine code is made, which takes most of the time: all but the size of the program is known",
    )
    command.add_argument("--json", type=Path, help="file for the numbers")


def _processes(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--coordinator", metavar="HOST:PORT", help="address of process 0 of several, or 'auto' on a cluster"
    )
    command.add_argument("--processes", type=int, help="how many processes share the work")
    command.add_argument("--process", type=int, help="which of them this is, from 0")


def _shards(command: argparse.ArgumentParser) -> None:
    _inputs(command)
    for name in ("frames", "height", "width"):
        command.add_argument(f"--{name}", type=int, required=True, help=f"{name} of a clip")
    command.add_argument("--stride", type=int, default=1, help="take every stride-th frame (default: 1)")
    _sharding(command)


def _tokenize(command: argparse.ArgumentParser) -> None:
    _model(command)
    _inputs(command)
    for name in ("frames", "height", "width", "stride"):
        command.add_argument(f"--{name}", type=int, help=f"{name} of a clip; as in training by default")
    command.add_argument("--batch", type=int, default=16, help="clips encoded at once (default: 16)")
    _sharding(command)


def _embed_text(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--captions", type=Path, required=True, help="captions.jsonl, a folder with it, or a file of one text a line"
    )
    command.add_argument("--weights-dir", type=Path, help="folder of the T5's bundle; MAGVIT_WEIGHTS by default")
    command.add_argument(
        "--network", choices=list(T5_SIZES), default="t5_v1_1_xl", help="which T5 (default: t5_v1_1_xl)"
    )
    command.add_argument("--slots", type=int, default=64, help="tokens of a text at most (default: 64)")
    command.add_argument("--batch", type=int, default=16, help="texts embedded at once (default: 16)")
    _output(command)


def _inputs(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--input",
        help="a video, an image, a folder of them or of clip shards, a TFDS dataset; or the embedded clips",
    )
    sources = ["files", "embedded", "clip_shards", "tfds"]
    command.add_argument("--source", choices=sources, help="what --input is; tfds has to be named")
    command.add_argument("--split", help="all, train or test; of TFDS a split as it is named there")
    command.add_argument(
        "--held-out", type=float, default=0.1, help="share held out without a folder test/ (default: 0.1)"
    )
    command.add_argument("--data-dir", default="", help="of TFDS datasets; where TFDS looks by default")
    command.add_argument("--feature", default="", help="the video or image of a TFDS dataset with several")
    command.add_argument("--num", type=int, help="inputs at most, the first ones; all by default")
    _output(command)


def _sharding(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--every", type=int, help="frames from a clip's start to the next one's; side by side by default"
    )
    command.add_argument("--clips", type=int, help="clips of an input at most, the first; all by default")
    command.add_argument("--shards", type=int, help="files to write (default: 64, or one an input if fewer)")
    command.add_argument("--threads", type=int, help="inputs read at once (default: one a core, 16 at most)")
    _processes(command)


def _reconstruct(command: argparse.ArgumentParser) -> None:
    _model(command)
    command.add_argument("--input", type=Path, required=True, help="a video, an image, a sound, or a folder of them")
    _output(command)
    command.add_argument(
        "--whole",
        action="store_true",
        help="every frame at the file's own size; by default the size and the frame stride are those of training",
    )
    command.add_argument(
        "--stream",
        action="store_true",
        help="go through a long video without a break; by default in windows as long as the clips of training",
    )
    command.add_argument("--height", type=int, help="size to work at; that of the training clips by default")
    command.add_argument("--width", type=int)


def _generate(command: argparse.ArgumentParser) -> None:
    _model(command)
    command.add_argument(
        "--task", help="frame_prediction, class_conditional, text_to_video, ...; not needed with --mask or --box alone"
    )
    command.add_argument(
        "--input", type=Path, help="the video or image, or the folder of them, that the task is conditioned on"
    )
    _user_mask(command)
    command.add_argument(
        "--prompt",
        metavar="TEXT",
        help="of models of text: what is to be made; of others the task whose prompt a mask uses, or else the nearest",
    )
    _multimodal(command)
    _samples(command)
    _output(command)
    command.add_argument(
        "--num", type=int, help="how many clips (default: 8; with --frames, and of models of text and sound, 1)"
    )
    command.add_argument(
        "--frames",
        type=int,
        help="one long video of so many frames, the given ones first: the task goes on over its own output, as mp4",
    )
    command.add_argument("--states", action="store_true", help="also draw every decoding step, as png and gif")
    command.add_argument(
        "--mesh",
        metavar="AXIS=SIZE,...",
        help="lay model and batch out over all devices, such as data=2,tensor=-1 (default: one device)",
    )
    _decoding(command)


#: Flags of `generate` that only models of text, video and sound have.
MULTIMODAL = ("audio", "flow", "depth", "given_frames", "seconds", "then", "then_prompt", "source")


def _multimodal(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--audio", type=Path, metavar="FILE", help="a sound, or a video whose sound is meant; by default --input's"
    )
    for name in ("flow", "depth"):
        command.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"{name} of a stylized video, as a video")
    command.add_argument(
        "--given-frames", type=int, help="frames that frame_prediction is given; those of two latents by default"
    )
    command.add_argument("--seconds", type=float, help="as --frames, in seconds")
    command.add_argument(
        "--source", metavar="NAME", help="in the manner of one of the sources that the model was trained on, by name"
    )
    command.add_argument(
        "--then", action="append", metavar="TASK", help="task that goes on with what was made; may be repeated"
    )
    command.add_argument("--then-prompt", metavar="TEXT", help="text of the tasks that follow; --prompt by default")


def _gallery(command: argparse.ArgumentParser) -> None:
    _model(command)
    command.add_argument("--input", type=Path, help="a video or image; an embedded clip by default")
    _user_mask(command)
    _samples(command)
    _output(command)
    command.add_argument("--num", type=int, default=2, help="samples of each task (default: 2)")
    _decoding(command)


def _user_mask(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--mask", type=Path, metavar="FILE", help="your own mask, a video or image of the input's size: white is given"
    )
    command.add_argument(
        "--box", metavar="Y0,X0,Y1,X1", help="your own mask as a box, in shares of height and width (0 to 1)"
    )
    command.add_argument(
        "--given",
        choices=["inside", "outside"],
        help="what is given: the inside of the box or the white of the mask (the default), or what is outside of it",
    )


def _samples(command: argparse.ArgumentParser) -> None:
    command.add_argument("--label", help="class name or number; all classes in turn by default")
    command.add_argument("--paste", action="store_true", help="put the given pixels back over the generated ones")
    command.add_argument("--seed", type=int, default=0)


#: Flags that are arguments of `Generator.generate` of the same name, by type and help; the model's own by default.
DECODING: dict[str, tuple[type, str]] = {
    "decoding": (str, f"settings by name: {', '.join(DECODINGS)}; as trained by default"),
    "steps": (int, "decoding steps"),
    "schedule": (str, "how many tokens stay unknown after each step: cosine, uniform, exp, log, pow2, ..."),
    "temperature": (float, "of the confidence noise; of models that decode token by token, of the tokens"),
    "sampling_temperature": (float, "of the tokens; 0 takes the likeliest"),
    "guidance_scale": (float, "of classifier-free guidance; 0 for none"),
    "guidance_schedule": (str, f"how guidance grows over the steps: {', '.join(GUIDANCE_SCHEDULES)}"),
    "guidance_power": (float, "of the guidance schedules that have a power"),
    "top_k": (int, "draw among the so many likeliest ids only"),
    "top_p": (float, "draw among the likeliest ids only that together have this share of the probability"),
}
#: Those that a model of text, video and sound has.
TOKENWISE = ("temperature", "top_k", "top_p", "guidance_scale")


def _decoding(command: argparse.ArgumentParser) -> None:
    for name, (kind, text) in DECODING.items():
        spellings = dict.fromkeys((f"--{name.replace('_', '-')}", f"--{name}"))  # that of Python is taken too
        command.add_argument(*spellings, type=kind, help=text)


def box(text: str) -> tuple[float, ...]:
    """The numbers of a --box. UserError where they are none; `workflows.UserMask` checks what they are."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(f"--box={text}: expected four numbers, such as 0.25,0.25,0.75,0.75") from error


def mesh(text: str) -> dict[str, int]:
    """The axes of a --mesh. UserError where they are none; `partitioning.make_mesh` checks what they are."""
    pairs = [part.split("=") for part in text.split(",")]
    try:
        sizes = {axis.strip(): int(size) for axis, size in pairs}
    except ValueError as error:
        raise UserError(f"--mesh={text}: expected axes with whole numbers, such as data=2,tensor=-1") from error
    if len(sizes) < len(pairs):
        raise UserError(f"--mesh={text}: an axis is named twice; expected each once")
    return sizes


def _evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", type=Path, help="a bundle or a training workdir")
    command.add_argument("--samples", type=Path, help="instead of a model: a folder of made clips, one a file")
    command.add_argument("--input", type=Path, help="folder of videos; the embedded test clips by default")
    command.add_argument(
        "--metrics", default="psnr,ssim,codebook", help="comma-separated; see docs/evaluation.md"
    )
    command.add_argument("--num", type=int, help="clips at most (default: 256 of a model, all of --samples)")
    command.add_argument("--json", type=Path, help="file for the results")
    command.add_argument(
        "--protocol",
        help="such as k600_fvd; model_clips or given_clips by default; docs/evaluation.md has the list",
    )
    command.add_argument("--captions", type=Path, help="for clipsim of --samples: a file with lines 'name<TAB>text'")
    command.add_argument("--seed", type=int, default=0, help="of the clips that a protocol draws (default: 0)")
    command.add_argument(
        "--weights-dir", type=Path, help="folder of the metrics' networks; MAGVIT_WEIGHTS by default"
    )


def _experiment(command: argparse.ArgumentParser) -> None:
    command.add_argument("--table", help="6.3, 5.7d, fig6.8, ...; without it all are listed")
    command.add_argument("--list", action="store_true", help="list the tables and figures, and run nothing")
    command.add_argument("--commands", action="store_true", help="print the table's commands, and run nothing")
    command.add_argument(
        "--scale",
        choices=["mini", "paper"],
        default="mini",
        help="mini: shrunk, on embedded or given clips; paper: the thesis's own data and size (default: mini)",
    )
    command.add_argument("--rows", help="ids of rows, comma-separated; all of ours by default")
    command.add_argument(
        "--seeds", help="how many, such as 5, or which, such as 0,3 (default: 5 at mini scale, 1 at paper scale)"
    )
    command.add_argument("--videos", type=Path, help="folder of your own videos, for mini scale; embedded by default")
    command.add_argument("--data", type=Path, help="folder of the thesis's data sets, for paper scale")
    command.add_argument(
        "--weights-dir", type=Path, help="folder of the metrics' networks, for paper scale; MAGVIT_WEIGHTS by default"
    )
    command.add_argument("--workdir", type=Path, help="folder for runs and pages; finished runs are never repeated")
    command.add_argument("--results", type=Path, help="folder for a copy of the small file of results")


def _convert(command: argparse.ArgumentParser) -> None:
    sources = ["open-magvit2", "dac", *NETWORKS]
    command.add_argument("--source", choices=sources, required=True, help="whose checkpoint it is")
    command.add_argument(
        "--checkpoint",
        type=Path,
        required=True,
        help=".ckpt, .pt, .pth, .npz or .safetensors; of a network with several files, the folder that holds them",
    )
    command.add_argument(
        "--output", type=Path, required=True, help="folder of the bundle; of a frozen network, the folder of weights"
    )
    command.add_argument(
        "--weights",
        choices=["ema", "raw"],
        help="the moving average (ema), the default where there is one, or the last step's (raw)",
    )


def _export(command: argparse.ArgumentParser) -> None:
    command.add_argument("--workdir", type=Path, required=True, help="folder of a training run or of a bundle")
    command.add_argument("--output", type=Path, required=True, help="folder, or file ending in .safetensors")
    command.add_argument(
        "--format",
        choices=["bundle", "torch-safetensors"],
        default="bundle",
        help="torch-safetensors: a tokenizer's weights under Open-MAGVIT2's keys (default: bundle)",
    )


def _model(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", type=Path, required=True, help="a bundle or a training workdir")


def _output(command: argparse.ArgumentParser) -> None:
    command.add_argument("--output", type=Path, required=True, help="folder for what is written")
