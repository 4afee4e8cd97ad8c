"""Results and tables: what `Report` sets in HTML and the terminal prints in columns, from the same rows."""

import dataclasses
import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal

RESULT_COLUMNS = ("measure", "ours", "baseline", "ceiling", "target", "met?")


@dataclasses.dataclass(frozen=True)
class Result:
    """One measured number beside what it is to be compared with.

    Attributes:
        measure: what was measured, with its conditions: "reconstruction PSNR, 256 held-out clips".
        ours: the number.
        baseline: the number of the trivial method; `baseline_name` says which.
        ceiling: the number that no method of this kind can pass.
        target: what was promised; None where nothing was.
        better: whether a higher or a lower number is better; decides how `target` is compared.
        unit: written after every number of the row, such as "dB".
        digits: digits after the point; smaller numbers than these can show are written as 1.2e-05.
        baseline_name, ceiling_name: a few words each, set small under the numbers in a report.
    """

    measure: str
    ours: float
    baseline: float | None = None
    ceiling: float | None = None
    target: float | None = None
    better: Literal["higher", "lower"] = "higher"
    unit: str = ""
    digits: int = 2
    baseline_name: str = ""
    ceiling_name: str = ""

    def __post_init__(self):
        if self.better not in ("higher", "lower"):
            raise ValueError(f"better must be 'higher' or 'lower', got {self.better!r}")

    @property
    def met(self) -> bool | None:
        """Whether `ours` reaches `target`; None without a target. A NaN reaches nothing."""
        if self.target is None:
            return None
        return bool(self.ours >= self.target if self.better == "higher" else self.ours <= self.target)

    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of `RESULT_COLUMNS`."""
        ours, baseline, ceiling, target = (
            number(value, self.digits, self.unit)
            for value in (self.ours, self.baseline, self.ceiling, self.target)
        )
        sign = "≥" if self.better == "higher" else "≤"
        return (
            self.measure,
            ours,
            baseline,
            ceiling,
            f"{sign} {target}" if target else "",
            {True: "yes", False: "no", None: ""}[self.met],
        )


def number(value: float | None, digits: int = 2, unit: str = "") -> str:
    """A number for people: fixed digits, thousands parted, tiny ones in powers of ten; None is empty."""
    if value is None:
        return ""
    value = float(value)
    if not math.isfinite(value):
        text = str(value)
    elif value != 0 and abs(value) < 0.5 * 10**-digits:
        text = f"{value:.1e}"
    else:
        text = f"{value:,.{digits}f}"
    return f"{text} {unit}" if unit else text


def results_text(results: Iterable[Result]) -> str:
    """Results as a table for the terminal, one line each under a header."""
    return text_table([result.cells() for result in results], header=RESULT_COLUMNS, align="lrrrrl")


def text_table(rows: Iterable[Sequence[object]], header: Sequence[str] | None = None, align: str = "") -> str:
    """Aligned columns for the terminal.

    Widths count terminal cells, not code points: wide (CJK) characters take two, combining ones none. Line
    breaks and tabs inside a cell become spaces. Columns that are empty in every row are left out.

    Args:
        rows: cells of any type, shown by `str`; None is empty; short rows are filled up.
        header: names of the columns, underlined.
        align: a letter a column, "l" or "r"; columns beyond it are flush right where every cell is a number.

    Returns:
        Lines joined by newlines, without trailing blanks.
    """
    body = [[_plain(cell) for cell in row] for row in rows]
    numeric = _numeric_columns(rows) if isinstance(rows, Sequence) else set()
    names = [_plain(name) for name in header] if header else []
    columns = max((len(row) for row in [names, *body]), default=0)
    body = [row + [""] * (columns - len(row)) for row in body]
    names += [""] * (columns - len(names))
    kept = [c for c in range(columns) if not body or any(row[c] for row in body)]
    widths = {c: max(display_width(row[c]) for row in [names, *body]) for c in kept}
    right = {c for c in kept if (align[c] == "r" if c < len(align) else c in numeric)}
    lines = [_line(row, kept, widths, right) for row in body]
    if header:
        lines = [_line(names, kept, widths, right), "  ".join("─" * widths[c] for c in kept), *lines]
    return "\n".join(lines)


def _plain(cell: object) -> str:
    return "" if cell is None else " ".join(str(cell).split())


def _numeric_columns(rows: Sequence[Sequence[object]]) -> set[int]:
    columns = max((len(row) for row in rows), default=0)
    filled = {c: [row[c] for row in rows if c < len(row) and row[c] is not None] for c in range(columns)}
    return {
        c for c, cells in filled.items() if cells and all(isinstance(cell, int | float) for cell in cells)
    }


def _line(row: list[str], kept: list[int], widths: dict[int, int], right: set[int]) -> str:
    cells = []
    for c in kept:
        blank = " " * (widths[c] - display_width(row[c]))
        cells.append(blank + row[c] if c in right else row[c] + blank)
    return "  ".join(cells).rstrip()


def display_width(text: str) -> int:
    """How many terminal cells `text` takes."""
    wide = sum(1 for letter in text if unicodedata.east_asian_width(letter) in "WF")
    unseen = sum(1 for letter in text if unicodedata.category(letter) in ("Mn", "Me", "Cf"))
    return len(text) + wide - unseen
