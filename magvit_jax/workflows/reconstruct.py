"""Videos and images through a tokenizer and back, written beside the originals."""

import collections
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from magvit_jax import data, metrics
from magvit_jax.errors import UserError
from magvit_jax.media import output as media_output
from magvit_jax.media.grid import side_by_side
from magvit_jax.media.pixels import viewing_scale
from magvit_jax.media.video_io import mp4_writer, write_gif, write_png
from magvit_jax.systems.pixels import to_uint8
from magvit_jax.tokenizer.chunks import padded
from magvit_jax.tokenizer.tokenizer import Tokenizer
from magvit_jax.workflows.inputs import each_file
from magvit_jax.workflows.progress import Progress

GIF_FRAMES = 256  # a gif holds no more, from the start of the video: it has to be in memory, and players choke on it
Pair = dict[str, np.ndarray]


def reconstruct(
    tokenizer: Tokenizer,
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    whole: bool = False,
    stream: bool = False,
    height: int | None = None,
    width: int | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, float]:
    """Reconstructs a file, or every video and image of a folder, of any length in bounded memory.

    Writes, for each video, NAME.mp4 (the reconstruction) and NAME_beside.mp4 (original and reconstruction); for each
    image NAME.png, the two beside each other. Unless `whole`, also the videos as gif, of their first 256 frames, and
    grid.png of the first files. A file appears under its name when it is whole.

    By default the videos look like the clips of training: their size, and every stride-th frame. With `whole` every
    frame is taken at the size it has in the file. What the strides do not divide is padded and cropped back;
    `say` says so.

    A long video goes through in windows as long as the clips of training, each by itself: frames with a longer past
    than any in training come out worse. With `stream` it goes through without a break.

    Args:
      source: a video, an image, or a folder of them; a broken file of a folder is skipped and named.
      output: folder, made if absent.
      whole: every frame at its own size.
      stream: carry what the model has seen through the whole video; only a causal model can.
      height, width: size to work at, that of the training clips by default; not with `whole`.
      say: gets the lines that say what was done; a line of progress goes to standard error.

    Returns:
      PSNR in dB by file name.

    Raises:
      UserError: nothing could be read, or a size that does not fit.
    """
    if whole and (height, width) != (None, None):
        raise UserError("whole takes the size of the file; expected neither height nor width with it")
    clip, size, stride = tokenizer.clip, None, 1
    if not whole:
        stride = clip.stride
        size = (clip.height if height is None else height, clip.width if width is None else width)
        # Refuses what no padding helps, before anything is written.
        tokenizer.stream_size(clip.frames, *size, windows=True)
    if stream and not tokenizer.model.streams:
        raise UserError("stream: this model cannot go on from window to window; expected a causal model")
    windows = not stream
    if not tokenizer.model.streams:
        say(f"this model cannot stream: videos go through it in windows of {clip.frames} frames, each by itself")
    output, scores, examples = Path(output), {}, []

    def run(path: Path) -> None:
        video = data.FrameStream(path, size, stride)
        stem = output / output_name(path, source)
        if video.image:
            score, example, frames = _image(tokenizer, video, stem)
        else:
            score, example, frames = _video(tokenizer, video, stem, small=not whole, windows=windows)
        examples.append(example)
        del examples[media_output.SHOWN :]
        scores[str(path)] = score
        shape = (frames, video.height, video.width)
        say(
            f"{path}: {_frames(shape)}{_padding(tokenizer, shape, video.image, windows)}, PSNR {score:.2f} dB -> {stem}"
        )

    for _ in each_file(source, run, say):
        pass
    if not whole:
        media_output.write_grid(output / "grid.png", examples)
    return scores


def output_name(path: Path, source: str | os.PathLike) -> str:
    """A flat name for what comes from `path`: its folders below the source, and its name with the extension's dot
    replaced, so that a.mp4 and a.gif do not overwrite each other."""
    source = Path(source)
    relative = path.relative_to(source) if source.is_dir() else Path(path.name)
    return "_".join(relative.parts).replace(".", "_")


def _frames(shape: tuple[int, int, int]) -> str:
    frames, height, width = shape
    return f"{frames} frame{'s' * (frames != 1)} of {height}x{width}"


def _padding(tokenizer: Tokenizer, shape: tuple[int, int, int], image: bool, windows: bool) -> str:
    frames, *size = tokenizer.stream_size(*shape, windows=windows)
    padded = (1 if image and tokenizer.model.leading_frame else frames, *size)
    return "" if padded == shape else f" (padded to {_frames(padded)} and cropped back)"


def _image(tokenizer: Tokenizer, image: data.FrameStream, stem: Path) -> tuple[float, Pair, int]:
    """Writes an image beside its reconstruction; PSNR, both, and the number of frames."""
    original = np.stack(list(image))
    if tokenizer.model.leading_frame:
        _, *size = tokenizer.stream_size(1, image.height, image.width)
        result = tokenizer.reconstruct(padded(original[None], *size))[:, :, : image.height, : image.width]
    else:
        (result,) = tokenizer.reconstruct_stream([original[None]])
    pair = {"original": original, "reconstruction": to_uint8(result)[0]}
    write_png(_named(stem, ".png"), np.concatenate([video[0] for video in pair.values()], axis=1))
    return float(metrics.psnr(*pair.values())), pair, 1


def _video(
    tokenizer: Tokenizer, video: data.FrameStream, stem: Path, small: bool, windows: bool
) -> tuple[float, Pair, int]:
    """Writes a video and its reconstruction; PSNR, the first frames of both if `small`, and the number of frames."""
    scale = viewing_scale(video.height, video.width) if small else 1
    done, error, kept = 0, 0.0, []
    with contextlib.ExitStack() as open_files:
        progress = open_files.enter_context(Progress(video.frames, "frames", name=Path(video.path).name))
        alone, beside = None, None
        for pair in _pairs(tokenizer, video, windows):
            if alone is None:  # not before: a file that cannot be read leaves no folder behind
                alone = open_files.enter_context(mp4_writer(_named(stem, ".mp4"), video.rate, scale))
                beside = open_files.enter_context(mp4_writer(_named(stem, "_beside.mp4"), video.rate))
            alone(pair["reconstruction"])
            beside(side_by_side(pair, scale))
            error += float(np.sum(10.0 ** (-0.1 * metrics.psnr_per_frame(*pair.values()))))
            if small and done < GIF_FRAMES:
                kept.append(pair)
            done += len(pair["original"])
            progress.advance(len(pair["original"]))
    if not done:
        raise UserError(f"{video.path}: no frame can be decoded")
    with np.errstate(divide="ignore"):
        score = float(-10.0 * np.log10(error / done))
    if not small:
        return score, {}, done
    first = {name: np.concatenate([pair[name] for pair in kept])[:GIF_FRAMES] for name in kept[0]}
    write_gif(_named(stem, ".gif"), first["reconstruction"], video.rate, scale)
    write_gif(_named(stem, "_beside.gif"), side_by_side(first, scale), video.rate)
    return score, first, done


def _pairs(tokenizer: Tokenizer, video: data.FrameStream, windows: bool) -> Iterator[Pair]:
    """A chunk of the video and its reconstruction, uint8 [T, H, W, 3], again and again."""
    waiting = collections.deque()

    def passing():
        for frame_HWC in video:
            waiting.append(frame_HWC)
            yield frame_HWC

    for result_BTHWC in tokenizer.reconstruct_stream(passing(), windows=windows):
        result_THWC = to_uint8(result_BTHWC)[0]
        original_THWC = np.stack([waiting.popleft() for _ in result_THWC])
        yield {"original": original_THWC, "reconstruction": result_THWC}


def _named(stem: Path, end: str) -> Path:
    return stem.with_name(stem.name + end)
