"""Line charts as inline SVG: no script, no font, no file beside them; light or dark as the page is.

Colours are CSS variables with a fallback (`var(--series-1, #2563eb)`): inside a report the page's style
decides, and the same SVG saved as a file still looks right.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from html import escape

from magvit_jax.media.axes import Axis, linear_axis, log_axis
from magvit_jax.media.svg import FAINT, FONT, rule, text

PALETTE = ("#2563eb", "#ea580c", "#059669", "#9333ea", "#dc2626", "#0891b2", "#ca8a04", "#64748b")
_LETTER = 6.4  # pixels: the mean width of a letter at 12 pixels, good enough to place a legend
_MOST_POINTS = 600  # more than the pixels of a line's width cannot be seen
_FEW_POINTS = 24  # so few are shown as dots too


@dataclasses.dataclass(frozen=True)
class Series:
    """A line: its name in the legend, and its points. Points that are not finite leave a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float]

    def __post_init__(self):
        if len(self.x) != len(self.y):
            raise ValueError(f"series {self.name!r} has {len(self.x)} x values but {len(self.y)} y values")


def line_chart(
    series: Sequence[Series],
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    *,
    log_y: bool = False,
    smooth: int = 0,
    levels: Mapping[str, float] | None = None,
    width: int = 560,
    height: int = 300,
) -> str:
    """Draws lines over a common pair of axes.

    Args:
        series: the lines; more than eight share colours. Without any finite point the chart says so.
        title, x_label, y_label: any text, escaped.
        log_y: logarithmic y axis; points that are not positive leave a gap.
        smooth: above 1, each line is a running mean over that many points, over a faint line of the raw ones.
        levels: name -> y of dashed horizontal lines: a baseline, a target; inside the axes always.
        width, height: pixels at full size; the chart shrinks with the page.

    Returns:
        An `<svg>` element.
    """
    usable = [_finite(line, log_y) for line in series]
    points = [point for line in usable for run in line for point in run]
    shown = {name: y for name, y in (levels or {}).items() if math.isfinite(y) and (y > 0 or not log_y)}
    heights = [y for _, y in points] + list(shown.values())
    legend, legend_height = _legend([line.name for line in series], width)
    top = (26 if title else 8) + legend_height
    body = [text(16, 17, title, size=14, weight=600)] if title else []
    body += [f'<g transform="translate(16 {26 if title else 8})">{"".join(legend)}</g>']
    if points:
        x_axis = linear_axis([x for x, _ in points], tight=True)
        y_axis = log_axis(heights) if log_y else linear_axis(heights)
        frame = _Frame(
            x_axis, y_axis, left=_left_margin(y_axis, y_label), top=top, width=width, height=height
        )
        body += frame.axes(x_label, y_label) + frame.levels(shown)
        for index, line in enumerate(usable):
            body += frame.line(line, PALETTE_VARIABLES[index % len(PALETTE)], smooth, series[index].name)
    else:
        body.append(text(width / 2, height / 2, "no finite points", anchor="middle", fill=FAINT))
    spoken = escape(title or y_label or "line chart")
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{spoken}" '
        f'style="max-width:100%;height:auto;{FONT}">{"".join(body)}</svg>'
    )


PALETTE_VARIABLES = tuple(f"var(--series-{i}, {value})" for i, value in enumerate(PALETTE, start=1))


@dataclasses.dataclass(frozen=True)
class _Frame:
    """The rectangle inside the axes, and what is drawn in it."""

    x_axis: Axis
    y_axis: Axis
    left: float
    top: float
    width: int
    height: int

    @property
    def right(self) -> float:
        return self.width - 14

    @property
    def bottom(self) -> float:
        return self.height - 40

    def place(self, x: float, y: float) -> tuple[float, float]:
        return (
            self.left + self.x_axis.fraction(x) * (self.right - self.left),
            self.bottom - self.y_axis.fraction(y) * (self.bottom - self.top),
        )

    def axes(self, x_label: str, y_label: str) -> list[str]:
        parts = []
        for value, label in self.y_axis.ticks:
            _, y = self.place(self.x_axis.low, value)
            parts.append(rule(self.left, y, self.right, y))
            parts.append(text(self.left - 7, y + 4, label, size=11, anchor="end", fill=FAINT))
        for value, label in self.x_axis.ticks:
            x, _ = self.place(value, self.y_axis.low)
            parts.append(rule(x, self.bottom, x, self.bottom + 4, FAINT))
            parts.append(text(x, self.bottom + 17, label, size=11, anchor="middle", fill=FAINT))
        parts.append(rule(self.left, self.bottom, self.right, self.bottom, FAINT))
        if x_label:
            parts.append(
                text((self.left + self.right) / 2, self.height - 7, x_label, anchor="middle", fill=FAINT)
            )
        if y_label:
            x, y = 14, (self.top + self.bottom) / 2
            parts.append(text(x, y, y_label, anchor="middle", fill=FAINT, turn=-90))
        return parts

    def levels(self, levels: Mapping[str, float]) -> list[str]:
        parts = []
        for name, value in levels.items():
            _, y = self.place(self.x_axis.low, value)
            parts.append(
                f'<line x1="{self.left:.1f}" y1="{y:.1f}" x2="{self.right:.1f}" y2="{y:.1f}" '
                f'style="stroke:{FAINT};stroke-width:1.2;stroke-dasharray:5 4"/>'
            )
            parts.append(text(self.right, y - 5, name, size=11, anchor="end", fill=FAINT))
        return parts

    def line(self, runs: list[list[tuple[float, float]]], stroke: str, smooth: int, name: str) -> list[str]:
        parts = []
        if smooth > 1:
            parts += [self._path(run, stroke, "stroke-width:1;stroke-opacity:.28") for run in runs]
            runs = [_running_mean(run, smooth) for run in runs]
        parts += [self._path(run, stroke, "stroke-width:2") for run in runs]
        count = sum(map(len, runs))
        dots = [point for run in runs for point in run] if count <= _FEW_POINTS else runs[-1][-1:]
        for x, y in dots:
            cx, cy = self.place(x, y)
            tip = f"<title>{escape(name)}: {y:.5g} at {x:.6g}</title>"
            parts.append(f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="2.8" style="fill:{stroke}">{tip}</circle>')
        return parts

    def _path(self, run: list[tuple[float, float]], stroke: str, style: str) -> str:
        places = [self.place(x, y) for x, y in _thinned(run)]
        d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        rounded = "stroke-linejoin:round;stroke-linecap:round"
        return f'<path d="{d}" style="fill:none;stroke:{stroke};{style};{rounded}"/>'


def _finite(line: Series, positive: bool) -> list[list[tuple[float, float]]]:
    """The points in runs without a gap, in the order of x."""
    runs: list[list[tuple[float, float]]] = [[]]
    points = [(float(x), float(y)) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(x)]
    for x, y in sorted(points, key=lambda point: point[0]):
        if math.isfinite(y) and (y > 0 or not positive):
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _running_mean(run: list[tuple[float, float]], window: int) -> list[tuple[float, float]]:
    """Each y becomes the mean over its neighbours; at the ends the window is cut off alike on both sides."""
    total = [0.0]
    for _, y in run:
        total.append(total[-1] + y)
    means = []
    for index, (x, _) in enumerate(run):
        reach = min(window // 2, index, len(run) - 1 - index)
        low, high = index - reach, index + reach + 1
        means.append((x, (total[high] - total[low]) / (high - low)))
    return means


def _thinned(run: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `_MOST_POINTS` points: of each stretch its lowest and its highest, so that no spike is lost."""
    if len(run) <= _MOST_POINTS:
        return run
    stretch = math.ceil(2 * len(run) / (_MOST_POINTS - 2))
    kept = {0, len(run) - 1}
    for start in range(0, len(run), stretch):
        indices = range(start, min(start + stretch, len(run)))
        kept.add(min(indices, key=lambda i: run[i][1]))
        kept.add(max(indices, key=lambda i: run[i][1]))
    return [run[i] for i in sorted(kept)]


def _left_margin(y_axis: Axis, y_label: str) -> float:
    widest = max((len(label) for _, label in y_axis.ticks), default=1)
    return 14 + widest * _LETTER + (16 if y_label else 0)


def _legend(names: list[str], width: int) -> tuple[list[str], int]:
    """Line samples and names, wrapped to the width, and how high they are together; nothing without names."""
    if not any(names):
        return [], 4
    parts, x, y = [], 0.0, 0
    for index, name in enumerate(names):
        needed = 34 + len(name) * _LETTER
        if x and x + needed > width - 24:
            x, y = 0.0, y + 18
        stroke = PALETTE_VARIABLES[index % len(PALETTE)]
        parts.append(
            f'<line x1="{x:.1f}" y1="{y + 9}" x2="{x + 16:.1f}" y2="{y + 9}" '
            f'style="stroke:{stroke};stroke-width:3;stroke-linecap:round"/>'
        )
        parts.append(text(x + 22, y + 13, name))
        x += needed
    return parts, y + 28
