"""Several clips in one picture, moving or still: grids, labelled strips, filmstrips."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from magvit_jax.media.pixels import check_image, check_video, colour, upscale

BACKGROUND = "#ffffff"
INK = "#1f2937"
_LABEL_SIZE = 12  # points of Pillow's own font, which every Pillow carries
_LABEL_BAND = 18  # pixels


def grid(
    clips: Sequence[np.ndarray], columns: int | None = None, padding: int = 2, background: str = BACKGROUND
) -> np.ndarray:
    """Lays clips out row by row into one clip.

    Clips of unequal length hold their last frame; clips of unequal size sit at the top left of cells as
    large as the largest. Cells without a clip show the background.

    Args:
        clips: uint8 [T, H, W, 3] each (a picture [H, W, 3] counts as a clip of one frame); at least one.
        columns: cells in a row; None makes the grid about square.
        padding: pixels between cells and around the whole.
        background: '#rrggbb', or '#rrggbbaa' for a result with alpha.

    Returns:
        uint8 [T, rows * (H + padding) + padding, columns * (W + padding) + padding, 3 or 4].
    """
    if not clips:
        raise ValueError("expected at least one clip")
    videos = [check_video(clip if np.ndim(clip) == 4 else np.asarray(clip)[None]) for clip in clips]
    columns = int(np.ceil(np.sqrt(len(videos)))) if columns is None else columns
    if columns < 1 or padding < 0:
        raise ValueError(f"expected columns >= 1 and padding >= 0, got {columns} and {padding}")
    rows = -(-len(videos) // columns)
    frames, height, width = (max(video.shape[axis] for video in videos) for axis in range(3))
    paper = colour(background, channels=4 if len(background.removeprefix("#")) == 8 else 3)
    canvas_THWC = np.empty(
        (frames, rows * (height + padding) + padding, columns * (width + padding) + padding, len(paper)),
        np.uint8,
    )
    canvas_THWC[:] = paper
    for index, video in enumerate(videos):
        row, column = divmod(index, columns)
        top, left = padding + row * (height + padding), padding + column * (width + padding)
        cell = canvas_THWC[:, top : top + video.shape[1], left : left + video.shape[2]]
        cell[..., :3] = video[np.minimum(np.arange(frames), len(video) - 1)]
        cell[..., 3:] = 255
    return canvas_THWC


def side_by_side(clips: Mapping[str, np.ndarray], scale: int = 1, padding: int = 4) -> np.ndarray:
    """Clips beside one another under their names: `{"original": a, "reconstruction": b}` -> one clip.

    Args:
        clips: name -> uint8 [T, H, W, 3]; unequal lengths hold their last frame.
        scale: whole factor by which pixels (not the letters) are enlarged.
        padding: pixels between and around the cells.
    """
    return grid([labelled(upscale(clip, scale), name) for name, clip in clips.items()], len(clips), padding)


def comparison_rows(rows: Sequence[Mapping[str, np.ndarray]], scale: int = 1, padding: int = 4) -> np.ndarray:
    """A grid with one row an example and one column a name; the names stand over the first row only.

    Args:
        rows: each name -> uint8 [T, H, W, 3], all with the same names in the same order; at least one row.
        scale: whole factor by which pixels are enlarged.
        padding: pixels between and around the cells.

    Returns:
        uint8 [T, ..., ..., 3].
    """
    names = list(rows[0])
    if any(list(row) != names for row in rows):
        raise ValueError(f"expected the columns {names} in every row")
    cells = [upscale(check_video(row[name]), scale) for row in rows for name in names]
    body_THWC = grid(cells, len(names), padding)
    width = max(cell.shape[2] for cell in cells)
    heads = [draw_label(name, width) for name in names]
    head_THWC = np.repeat(
        grid(heads, len(names), padding)[:, : _LABEL_BAND + padding], len(body_THWC), axis=0
    )
    return np.concatenate([head_THWC, body_THWC], axis=1)


def labelled(video_THWC: np.ndarray, text: str) -> np.ndarray:
    """The clip with a band above it that holds `text`: [T, H, W, 3] -> [T, 18 + H, W, 3]."""
    video_THWC = check_video(video_THWC)
    band_HWC = draw_label(text, video_THWC.shape[2])
    band_THWC = np.broadcast_to(band_HWC, (len(video_THWC), *band_HWC.shape))
    return np.concatenate([band_THWC, video_THWC], axis=1)


def draw_label(text: str, width: int, ink: str = INK, background: str = BACKGROUND) -> np.ndarray:
    """One line of text, centred, as uint8 [18, width, 3]; cut with an ellipsis where it is too wide."""
    font = ImageFont.load_default(_LABEL_SIZE)
    band = Image.new("RGB", (width, _LABEL_BAND), tuple(colour(background).tolist()))
    line = _shortened(" ".join(text.split()), font, width)
    position = (width / 2, _LABEL_BAND / 2)
    ImageDraw.Draw(band).text(position, line, tuple(colour(ink).tolist()), font, anchor="mm")
    return np.asarray(band)


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…" if text else ""


def filmstrip(
    video_THWC: np.ndarray,
    frames: int | None = None,
    given: int = 0,
    scale: int = 1,
    padding: int = 2,
    background: str = BACKGROUND,
) -> np.ndarray:
    """The frames of a clip in a row, as one picture.

    Args:
        video_THWC: uint8 [T, H, W, 3].
        frames: show at most this many, evenly spaced, the first and the last among them; None shows all.
        given: so many leading frames of the clip were given to the model; a wider gap then parts them off.
        scale: whole factor by which pixels are enlarged.
        padding: pixels between and around frames; the gap after the given ones is four times as wide.
        background: '#rrggbb', or '#rrggbbaa' for a result with alpha.

    Returns:
        uint8 [H', W', 3 or 4].
    """
    video_THWC = check_video(video_THWC)
    total = len(video_THWC)
    shown = np.arange(total)
    if frames is not None and frames < total:
        shown = np.unique(np.rint(np.linspace(0, total - 1, frames)).astype(int))
    cells = upscale(video_THWC[shown], scale)
    strip_HWC = grid(list(cells), len(cells), padding, background)[0]
    before = int((shown < given).sum())
    if not 0 < before < len(shown):
        return strip_HWC
    cut = before * (cells.shape[2] + padding)
    gap_HWC = np.repeat(strip_HWC[:, :1], 3 * padding, axis=1)
    return np.concatenate([strip_HWC[:, :cut], gap_HWC, strip_HWC[:, cut:]], axis=1)


def stack(images: Sequence[np.ndarray], padding: int = 0, background: str = BACKGROUND) -> np.ndarray:
    """Pictures [H, W, 3] of any widths one under another, flush left -> [H', W', 3]."""
    pictures = [check_image(image) for image in images]
    width = max(picture.shape[1] for picture in pictures)
    paper = colour(background, pictures[0].shape[2])
    rows = []
    for picture in pictures:
        row_HWC = np.empty((picture.shape[0] + padding, width, len(paper)), np.uint8)
        row_HWC[:] = paper
        row_HWC[: picture.shape[0], : picture.shape[1]] = picture
        rows.append(row_HWC)
    stacked_HWC = np.concatenate(rows)
    return stacked_HWC[: len(stacked_HWC) - padding]
