"""A self-contained HTML report: words, numbers, curves and moving clips in one file that opens anywhere.

Nothing is loaded from outside the file and nothing needs JavaScript: clips are animated WebP and pictures PNG
in data URIs, charts are inline SVG. Every text that comes from outside is escaped.
"""

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from magvit_jax.media.atomic import write_bytes
from magvit_jax.media.grid import filmstrip, grid
from magvit_jax.media.pixels import check_video, colour, viewing_scale
from magvit_jax.media.report_html import badge, compared, html_table, inline, moving, still
from magvit_jax.media.report_style import STYLE
from magvit_jax.media.tables import Result, number

_CLEAR = "#00000000"
_GIVEN = "#d97706ff"  # the bar under frames that the model was given
_BLANK_LINE = "\n\n"


class Report:
    """Collects the parts of a report in reading order; every method returns the report, so calls chain.

    Texts are plain: `<` is shown as `<`. Words in `backticks` are set as code.

    Example:
        >>> page = Report("A run").heading("Results").paragraph("All went well.").html()
        >>> "<h2" in page and "All went well." in page
        True
    """

    def __init__(self, title: str, subtitle: str = "", footer: str = ""):
        self.title = title
        self.subtitle = subtitle
        self.footer = footer
        self._parts: list[str] = []
        self._sections: list[tuple[str, str]] = []

    def heading(self, text: str, level: int = 2) -> "Report":
        """A heading of level 2 (listed in the contents at the top) or 3."""
        if level not in (2, 3):
            raise ValueError(f"level must be 2 or 3, got {level}")
        anchor = f"section-{len(self._parts)}"
        if level == 2:
            self._sections.append((anchor, text))
        return self._add(f'<h{level} id="{anchor}">{inline(text)}</h{level}>')

    def paragraph(self, text: str) -> "Report":
        """A paragraph."""
        return self._add(f"<p>{inline(text)}</p>")

    def tiles(self, tiles: Sequence[tuple[str, str]]) -> "Report":
        """The few numbers that matter most, large: pairs of (value, what it is)."""
        cells = (
            f'<div class="tile"><b>{inline(value)}</b><span>{inline(name)}</span></div>'
            for value, name in tiles
        )
        return self._add(f'<div class="tiles">{"".join(cells)}</div>')

    def key_values(self, pairs: Mapping[str, object]) -> "Report":
        """Names and values, one line each: settings, the machine, times."""
        lines = (f"<dt>{inline(name)}</dt><dd>{inline(str(value))}</dd>" for name, value in pairs.items())
        return self._add(f"<dl>{''.join(lines)}</dl>")

    def results(self, results: Sequence[Result], caption: str = "") -> "Report":
        """Measured numbers beside baseline, ceiling and target; columns empty in every row are left out."""
        columns = [
            ("measure", "", [inline(r.measure) for r in results]),
            ("ours", "number ours", [escape(number(r.ours, r.digits, r.unit)) for r in results]),
            ("baseline", "number", [compared(r, r.baseline, r.baseline_name) for r in results]),
            ("ceiling", "number", [compared(r, r.ceiling, r.ceiling_name) for r in results]),
            ("target", "number", [escape(r.cells()[4]) for r in results]),
            ("met?", "", [badge(r.met) for r in results]),
        ]
        return self._add(html_table([column for column in columns if any(column[2])], caption, "results"))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]], caption: str = "") -> "Report":
        """Any table; a column whose cells are all numbers is set flush right. None is an empty cell."""
        columns = []
        for index, name in enumerate(header):
            cells = [row[index] for row in rows]
            filled = [cell for cell in cells if cell is not None]
            numeric = bool(filled) and all(isinstance(cell, int | float | np.number) for cell in filled)
            texts = ["" if cell is None else inline(str(cell)) for cell in cells]
            columns.append((name, "number" if numeric else "", texts))
        return self._add(html_table(columns, caption))

    def charts(self, charts: Sequence[str], caption: str = "") -> "Report":
        """SVG charts from `curves.line_chart`, side by side where the page is wide enough."""
        cells = "".join(f"<div>{chart}</div>" for chart in charts)
        return self._figure(f'<div class="charts">{cells}</div>', caption)

    def clip_rows(
        self,
        columns: Mapping[str, Sequence[np.ndarray]],
        labels: Sequence[str] = (),
        fps: float = 8.0,
        scale: int | None = None,
        given: Mapping[str, int] | None = None,
        caption: str = "",
    ) -> "Report":
        """Moving clips to compare, a row an example and a column a source, the clips of a row in step.

        Args:
            columns: name -> clips uint8 [T, H, W, 3], equally many in each; all of one height and width.
            labels: a text before each row.
            fps: frames a second.
            scale: whole factor of enlargement on the page (it costs no bytes); None picks one by size.
            given: column name -> how many leading frames the model was given: a bar shows under them.
            caption: a text under the whole.
        """
        names, counts = list(columns), {len(clips) for clips in columns.values()}
        if len(counts) != 1 or (labels and len(labels) not in counts):
            raise ValueError(
                f"expected equally many clips and labels, got {counts} clips and {len(labels)} labels"
            )
        rows = list(zip(*columns.values(), strict=True))
        height, width = check_video(rows[0][0]).shape[1:3]
        scale = scale or viewing_scale(height, width, target=min(192, 780 // len(names)))
        gap = max(1, round(8 / scale))
        bars = [(given or {}).get(name, 0) for name in names]
        heads = "".join(
            f'<span style="width:{scale * width}px;margin-right:{scale * gap}px">{inline(name)}</span>'
            for name in names
        )
        lines = [f'<div></div><div class="names">{heads}</div>']
        for index, row in enumerate(rows):
            label = labels[index] if labels else ""
            strip = _with_bars(grid(row, len(row), gap, _CLEAR)[:, gap:-gap, gap:-gap], bars, width, gap)
            alt = f"{label}: {', '.join(names)}" if label else ", ".join(names)
            lines.append(
                f'<div class="label">{inline(label)}</div><div>{moving(strip, fps, scale, alt)}</div>'
            )
        return self._figure(f'<div class="frame"><div class="rows">{"".join(lines)}</div></div>', caption)

    def clip_gallery(
        self,
        clips: Sequence[np.ndarray],
        labels: Sequence[str] = (),
        fps: float = 8.0,
        scale: int | None = None,
        caption: str = "",
    ) -> "Report":
        """Moving clips (uint8 [T, H, W, 3]) that wrap like words, each above its label."""
        if labels and len(labels) != len(clips):
            raise ValueError(f"expected {len(clips)} labels, got {len(labels)}")
        cells = []
        for index, clip in enumerate(clips):
            factor = scale or viewing_scale(*check_video(clip).shape[1:3], target=128)
            label = labels[index] if labels else ""
            cells.append(
                f"<div>{moving(clip, fps, factor, label or f'clip {index + 1}')}{inline(label)}</div>"
            )
        return self._figure(f'<div class="gallery">{"".join(cells)}</div>', caption)

    def filmstrips(
        self,
        clips: Mapping[str, np.ndarray],
        frames: int | None = 12,
        given: int = 0,
        scale: int | None = None,
        caption: str = "",
    ) -> "Report":
        """Frames side by side, a row a clip (name -> uint8 [T, H, W, 3]); see `grid.filmstrip`."""
        lines = []
        for name, clip in clips.items():
            total, height, width = check_video(clip).shape[:3]
            factor = scale or viewing_scale(height, width, target=max(48, 820 // min(total, frames or total)))
            strip_HWC = filmstrip(clip, frames, given, padding=1, background=_CLEAR)
            lines.append(
                f'<div class="label">{inline(name)}</div><div>{still(strip_HWC, factor, name)}</div>'
            )
        return self._figure(f'<div class="frame"><div class="rows">{"".join(lines)}</div></div>', caption)

    def image(self, image_HWC: np.ndarray, scale: int = 1, caption: str = "") -> "Report":
        """A still picture, uint8 [H, W, 3] or [H, W, 4]."""
        return self._figure(
            f'<div class="frame">{still(image_HWC, scale, caption or "picture")}</div>', caption
        )

    def commands(self, commands: Sequence[tuple[str, str]]) -> "Report":
        """Command lines to copy (one click selects one): pairs of (what it does, the command)."""
        lines = []
        for comment, command in commands:
            remark = f'<span class="comment"># {escape(comment)}</span>\n' if comment else ""
            lines.append(f'{remark}<span class="command">{escape(command)}</span>')
        return self._add(f'<div class="commands"><pre>{_BLANK_LINE.join(lines)}</pre></div>')

    def html(self) -> str:
        """The whole page."""
        links = "".join(f'<a href="#{anchor}">{inline(text)}</a>' for anchor, text in self._sections)
        return "\n".join(
            [
                '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
                '<meta name="viewport" content="width=device-width, initial-scale=1">',
                # Without an icon of its own a page served from somewhere would ask that server for one.
                '<link rel="icon" href="data:,">',
                f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<header>",
                f"<h1>{inline(self.title)}</h1>",
                f'<p class="subtitle">{inline(self.subtitle)}</p>' if self.subtitle else "",
                f"<nav>{links}</nav>" if len(self._sections) > 2 else "",
                "</header>\n<main>",
                *self._parts,
                "</main>",
                f"<footer>{inline(self.footer)}</footer>" if self.footer else "",
                "</body>\n</html>\n",
            ]
        )

    def write(self, path: str | os.PathLike) -> Path:
        """Writes the page to `path`, whole or not at all, and returns the path."""
        return write_bytes(path, self.html().encode())

    def _add(self, part: str) -> "Report":
        self._parts.append(part)
        return self

    def _figure(self, body: str, caption: str) -> "Report":
        below = f"<figcaption>{inline(caption)}</figcaption>" if caption else ""
        return self._add(f"<figure>{body}{below}</figure>")


def _with_bars(strip_THWC: np.ndarray, given: Sequence[int], width: int, gap: int) -> np.ndarray:
    """Under each cell of a row [T, H, W, 4] a bar, there for as long as its clip shows given frames."""
    if not any(given):
        return strip_THWC
    bars_THWC = np.zeros((len(strip_THWC), 2, strip_THWC.shape[2], 4), np.uint8)
    for index, frames in enumerate(given):
        left = index * (width + gap)
        bars_THWC[:frames, 1, left : left + width] = colour(_GIVEN, channels=4)
    return np.concatenate([strip_THWC, bars_THWC], axis=1)
