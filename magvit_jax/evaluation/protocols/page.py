"""The table of protocols in docs/evaluation.md, made of the data."""

from magvit_jax.evaluation.protocols.protocol import Protocol, RealSet
from magvit_jax.evaluation.protocols.table import PROTOCOLS

HEADER = "| Name | Metrics | Real clips | Made clips | Frames, pixels a side | Source |"


def protocol_page() -> str:
    """Markdown; a test holds the page to it."""
    rows = [_row(chosen) for chosen in PROTOCOLS.values()]
    return "\n".join([HEADER, "| --- | --- | --- | --- | --- | --- |", *rows])


def _row(chosen: Protocol) -> str:
    metrics = ", ".join(chosen.metrics)
    cells = f"`{chosen.name}`", metrics, _real(chosen.real), _made(chosen), _size(chosen), chosen.source
    return f"| {' | '.join(cells)} |"


def _real(real: RealSet) -> str:
    windows = f"{real.placement} {real.windows}" if real.windows > 1 else real.placement
    where = "as they are" if real.placement == "given" else f"{windows} x {real.crops}"
    number = f", {real.clips:,}" if real.clips else ""
    return f"{real.dataset}, {real.split}: {where}{number}"


def _made(chosen: Protocol) -> str:
    if chosen.reconstructs:
        return "the same, reconstructed"
    if chosen.samples is None:
        return "any number"
    best = f", best of {chosen.best_of}" if chosen.best_of > 1 else ""
    return f"{chosen.samples:,}" + (f" x {chosen.folds}" if chosen.folds > 1 else "") + best


def _size(chosen: Protocol) -> str:
    if not chosen.made_size:
        return "as they are"
    frames = "1 frame" if chosen.frames == 1 else f"{chosen.frames} frames"
    to = f" to {chosen.size}, {chosen.resize}" if chosen.size != chosen.made_size else ""
    return f"{frames}, {chosen.made_size}{to}"
