"""Videos and images through a tokenizer and back, written beside the originals."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from magvit_jax import data, metrics
from magvit_jax.data.files import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS, find_files
from magvit_jax.errors import UserError
from magvit_jax.media import output as media_output
from magvit_jax.media.video_io import write_png
from magvit_jax.systems.pixels import to_uint8
from magvit_jax.tokenizer.tokenizer import Tokenizer

MEDIA = (*VIDEO_EXTENSIONS, *IMAGE_EXTENSIONS)


def reconstruct(
    tokenizer: Tokenizer,
    source: str | os.PathLike,
    output: str | os.PathLike,
    *,
    height: int | None = None,
    width: int | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, float]:
    """Reconstructs a file, or every video and image of a folder.

    Writes, for each video, NAME.mp4 and NAME.gif (the reconstruction) and NAME_beside.mp4/.gif (original and
    reconstruction); for each image NAME.png; and grid.png of the first ones.

    Args:
      source: a video, an image, or a folder of them; a broken file of a folder is skipped and named.
      output: folder, made if absent.
      height, width: size to work at, that of the training clips by default; the strides must divide it.
      say: gets a line for each file.

    Returns:
      PSNR in dB by file name.

    Raises:
      UserError: nothing could be read, or a size that does not fit.
    """
    size = (height or tokenizer.clip.height, width or tokenizer.clip.width)
    tokenizer.model.latent_shape(1, *size)
    output, scores, examples = Path(output), {}, []
    for path, clip, fps in read_clips(source, size, tokenizer.clip.stride, say):
        result = to_uint8(_windows(tokenizer, clip))
        stem = output / output_name(path, source)
        beside = {"original": clip, "reconstruction": result}
        if len(clip) == 1:
            write_png(stem.with_name(stem.name + ".png"), np.concatenate([clip[0], result[0]], axis=1))
        else:
            media_output.write_clip(stem, result, fps)
            media_output.write_beside(stem.with_name(stem.name + "_beside"), beside, fps)
        scores[str(path)] = float(metrics.psnr(clip, result))
        say(f"{path}: {len(clip)} frames of {size[0]}x{size[1]}, PSNR {scores[str(path)]:.2f} dB -> {stem}")
        examples = [*examples, beside][: media_output.SHOWN]
    media_output.write_grid(output / "grid.png", examples)
    return scores


def read_clips(
    source: str | os.PathLike, size: tuple[int, int], stride: int, say: Callable[[str], None]
) -> Iterator[tuple[Path, np.ndarray, float]]:
    """(path, uint8 [T, H, W, 3], frames per second) of every readable file; a single bad file is an error."""
    source = Path(source)
    spec = data.ClipSpec(frames=1, height=size[0], width=size[1], stride=stride)
    if not source.is_dir():
        yield source, data.load_clip(source, spec, whole=True), data.frame_rate(source) / stride
        return
    skipped, found = 0, 0
    for name in find_files(source, MEDIA, "video or image"):
        try:
            clip, rate = data.load_clip(name, spec, whole=True), data.frame_rate(name) / stride
        except UserError as error:
            skipped += 1
            say(f"skipped: {error}")
            continue
        found += 1
        yield Path(name), clip, rate
    if not found:
        raise UserError(f"{source}: none of its {skipped} video and image files could be read")
    if skipped:
        say(f"{skipped} of {found + skipped} files skipped")


def output_name(path: Path, source: str | os.PathLike) -> str:
    """A flat name for what comes from `path`: its folders below the source, and its name with the extension's dot
    replaced, so that a.mp4 and a.gif do not overwrite each other."""
    source = Path(source)
    relative = path.relative_to(source) if source.is_dir() else Path(path.name)
    return "_".join(relative.parts).replace(".", "_")


def _windows(tokenizer: Tokenizer, clip_THWC: np.ndarray) -> np.ndarray:
    """The clip in windows that are tokenized each by itself, the last one filled by repeating the last frame.

    A window is as long as the clips of training, or as the whole clip where that is shorter: frames with a longer past
    than any in training come out worse, by 6 dB for a tokenizer trained on 9 frames.
    """
    stride = tokenizer.model.compression[0]
    window = min(tokenizer.clip.frames, 1 + -(-(len(clip_THWC) - 1) // stride) * stride)
    outputs = []
    for start in range(0, len(clip_THWC), window):
        part = clip_THWC[start : start + window]
        fill = np.repeat(part[-1:], window - len(part), axis=0)
        result = np.asarray(tokenizer.reconstruct(np.concatenate([part, fill])[None]))[0]
        outputs.append(result[: len(part)])
    return np.concatenate(outputs)
