"""A table of the thesis with our column beside each of its own: Markdown, and a page that needs no network."""

import dataclasses
from collections.abc import Sequence

import magvit_jax
from magvit_jax.experiments import claims
from magvit_jax.experiments.claims import Verdict
from magvit_jax.experiments.models import commands
from magvit_jax.experiments.paired import markdown
from magvit_jax.experiments.records import Record, measure_of, text_of
from magvit_jax.experiments.tables import Column, Row, Table
from magvit_jax.media.report import Report

NOT_RUN = "not run"
CLAIM_HEADER = ("claim", "thesis", "ours", "measured", "difference", "p (sign flips)", "verdict")


@dataclasses.dataclass
class Page:
    """One table, filled; `reasons` grows as cells are asked for, and is numbered in that order."""

    table: Table
    record: Record
    reasons: list[str] = dataclasses.field(default_factory=list)

    def header(self) -> list[str]:
        made = [""]
        for column in self.table.columns:
            made.append(column.heading if not column.measured else f"{column.heading}, thesis")
            if column.measured:
                measure = measure_of(column, self.record.scale)
                made.append(f"ours, {self.record.scale}" + (f": {measure}" if measure else ""))
        return made

    def rows(self) -> list[list[str]]:
        made = []
        for row in self.table.rows:
            line = [row.system]
            for column, value in zip(self.table.columns, row.values, strict=True):
                line.append(value)
                if column.measured:
                    line.append(self.ours(row, column))
            made.append(line)
        return made

    def ours(self, row: Row, column: Column) -> str:
        """Measured, or "not run" with its reason's number; empty where the thesis has no figure and we no model."""
        numbers = self.record.cell(row, column)
        if numbers:
            return text_of(numbers)
        if not row.model_of(column) and not row.values[self.table.columns.index(column)].strip():
            return ""
        reason = self.record.why_empty(row, column)
        if reason not in self.reasons:
            self.reasons.append(reason)
        return f"{NOT_RUN} ({self.reasons.index(reason) + 1})"

    def notes(self) -> list[str]:
        """What has to be said under the table, after `rows` has been asked for."""
        notes = [text for text in (self.table.note,) if text]
        if self.table.unreadable:
            notes.append(f"Not readable in the extracted text: {self.table.unreadable}")
        notes += self.table.facts
        if self.record.runs:
            seeds = sorted({run["seed"] for run in self.record.runs})
            with_what = ", ".join(f"{key} {value}" for key, value in self.record.made_with.items())
            notes.append(
                f"Ours at {self.record.scale} scale on {self.record.data}: mean ± deviation over seeds, in brackets "
                f"how many; seeds {', '.join(map(str, seeds))}; {with_what}."
            )
        if self.record.scale == "mini":
            notes.append("Numbers of mini scale compare with each other only, never with the thesis's.")
        return notes + [f"{NOT_RUN} ({number}): {reason}" for number, reason in enumerate(self.reasons, 1)]

    def title(self) -> str:
        return f"{self.table.name}: {self.table.title}"


def as_markdown(table: Table, record: Record) -> str:
    """The table, its claims and its commands."""
    page = Page(table, record)
    parts = [f"# {page.title()}", markdown(page.header(), [list(map(_cell, row)) for row in page.rows()])]
    parts += ["\n".join(f"- {note}" for note in page.notes())]
    verdicts = claims.check(table, record)
    if verdicts:
        parts += ["## Claims", markdown(CLAIM_HEADER, [list(map(_cell, claim_row(table, one))) for one in verdicts])]
    if table.models:
        lines = [line for _, line in command_lines(table)]
        parts += ["## Commands of the thesis's scale", "```\n" + "\n".join(lines) + "\n```"]
    return "\n\n".join(parts) + "\n"


def as_html(table: Table, record: Record) -> str:
    """The same as a page."""
    page = Page(table, record)
    report = Report(page.title(), f"Thesis {table.section}", footer=f"magvit_jax {magvit_jax.__version__}")
    report.heading("The table").table(page.header(), page.rows())
    for note in page.notes():
        report.paragraph(note)
    verdicts = claims.check(table, record)
    if verdicts:
        report.heading("Claims").table(CLAIM_HEADER, [claim_row(table, one) for one in verdicts])
    if table.models:
        report.heading("Commands of the thesis's scale").commands(command_lines(table))
    return report.html()


def claim_row(table: Table, verdict: Verdict) -> list[str]:
    """A claim as cells of `CLAIM_HEADER`."""
    difference = verdict.difference
    ours = "" if verdict.means is None else f"{verdict.means[0]:.4g} against {verdict.means[1]:.4g}"
    interval = ""
    if difference is not None:
        interval = f"{difference.estimate:+.3g} ({difference.low:+.3g} to {difference.high:+.3g})"
    return [
        verdict.claim.says,
        claims.thesis_figures(table, verdict.claim),
        ours,
        verdict.measure,
        interval,
        "" if verdict.p_value is None else f"{verdict.p_value:.4f}",
        verdict.state + (f": {verdict.why}" if verdict.why else ""),
    ]


def command_lines(table: Table) -> Sequence[tuple[str, str]]:
    """(what it makes, the command), of all models of a table, each command once."""
    lines: dict[str, str] = {}
    for model in table.models:
        for line in commands(model):
            lines.setdefault(line, model)
    return [(f"for {model}", line) for line, model in lines.items()]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
