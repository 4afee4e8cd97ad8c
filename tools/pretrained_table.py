"""Writes the table of frozen networks into docs/pretrained.md, between its two marks.

    python tools/pretrained_table.py
"""

import sys
from pathlib import Path

from magvit_jax.pretrained.row import Network, SourceFile
from magvit_jax.pretrained.table import NETWORKS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "pretrained.md"
BEGIN, END = "<!-- table: tools/pretrained_table.py -->", "<!-- end of table -->"
HEADER = "| Network | Used for | Bundle | Made from | SHA-256 | Licence | Parameters | Command |"


def table() -> str:
    """The table as Markdown, one network a row."""
    return "\n".join([HEADER, "| --- " * HEADER.count(" | ") + "| --- |", *map(_row, NETWORKS.values())])


def _row(network: Network) -> str:
    cells = (
        network.title,
        network.used_for,
        f"`{network.file}`",
        "<br>".join(f"`{source.name}`: {source.where}" for source in network.sources),
        "<br>".join(map(_digest, network.sources)),
        network.licence,
        f"{network.parameters:,}",
        f"`{network.command()}`",
    )
    return f"| {' | '.join(cells)} |"


def _digest(source: SourceFile) -> str:
    if not source.sha256:
        return "none published"
    return f"`{source.sha256}`" + ("" if len(source.sha256) == 64 else " (first digits)")


def updated(page: str) -> str:
    """The page's text with the table as it is now."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> int:
    """Rewrites the page."""
    PAGE.write_text(updated(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
