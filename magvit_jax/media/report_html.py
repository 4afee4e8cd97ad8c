"""The pieces of HTML that a report is made of. What comes in is text; what goes out is escaped."""

import base64
import re
from html import escape

import numpy as np

from magvit_jax.media.animation import png_bytes, webp_bytes
from magvit_jax.media.tables import Result, number

_LOSSLESS_PIXELS = 400_000  # a clip of more pixels than this, over all frames, is embedded lossy


def inline(text: str) -> str:
    """Escaped text; `words` in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(str(text)))


def html_table(columns: list[tuple[str, str, list[str]]], caption: str, kind: str = "plain") -> str:
    """A table from (name, class, cells of finished HTML) for each column."""
    head = "".join(f'<th scope="col" class="{flush}">{inline(name)}</th>' for name, flush, _ in columns)
    rows = zip(*(cells for _, _, cells in columns), strict=True)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{flush}">{cell}</td>' for cell, (_, flush, _) in zip(row, columns, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    below = f"<caption>{inline(caption)}</caption>" if caption else ""
    inside = f"{below}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll"><table class="{kind}">{inside}</table></div>'


def compared(result: Result, value: float | None, name: str) -> str:
    if value is None:
        return ""
    return escape(number(value, result.digits, result.unit)) + (
        f"<small>{inline(name)}</small>" if name else ""
    )


def badge(met: bool | None) -> str:
    return {
        True: '<span class="badge yes">✓ yes</span>',
        False: '<span class="badge no">✗ no</span>',
        None: "",
    }[met]


def moving(video_THWC: np.ndarray, fps: float, scale: int, alt: str) -> str:
    frames, height, width = video_THWC.shape[:3]
    data = webp_bytes(video_THWC, fps, lossless=frames * height * width <= _LOSSLESS_PIXELS, quality=90)
    return _img("webp", data, height, width, scale, alt)


def still(image_HWC: np.ndarray, scale: int, alt: str) -> str:
    return _img("png", png_bytes(image_HWC), *image_HWC.shape[:2], scale, alt)


def _img(kind: str, data: bytes, height: int, width: int, scale: int, alt: str) -> str:
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return f'<img src="{source}" width="{width * scale}" height="{height * scale}" alt="{escape(alt)}">'
