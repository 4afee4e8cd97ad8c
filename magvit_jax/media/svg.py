"""The two or three SVG elements that charts are made of, and the page's colours."""

from html import escape

FONT = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
INK = "var(--ink, #1f2937)"
FAINT = "var(--faint, #6b7280)"
RULE = "var(--rule, #e5e7eb)"


def rule(x1: float, y1: float, x2: float, y2: float, stroke: str = RULE) -> str:
    """A thin straight line."""
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} style="stroke:{stroke};stroke-width:1"/>'


def text(
    x: float,
    y: float,
    content: str,
    *,
    size: int = 12,
    weight: int = 400,
    anchor: str = "start",
    fill: str = INK,
    turn: int = 0,
) -> str:
    """Text at (x, y), escaped; `turn` degrees about that point."""
    turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turned} '
        f'style="fill:{fill};font-size:{size}px;font-weight:{weight}">{escape(str(content))}</text>'
    )
