"""The terminal screen of a diagnosis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from parity.diagnose import Diagnosis, Grade, Verdict
from parity.report.causes import (
    GRADES,
    Cause,
    Rest,
    basis_line,
    causes,
    equivalent_line,
    headline,
    output_line,
    rests,
)
from parity.report.places import named

__all__ = ["DiagnosisScreen", "print_diagnosis"]

_COLOURS = {Grade.HIGH: "bold red", Grade.WORTH_TRYING: "yellow", Grade.SPECULATIVE: "magenta"}
_MARKS = {
    Verdict.NO_FAULT: Text("✓ ", style="bold green"),
    Verdict.INCONCLUSIVE: Text("? ", style="bold yellow"),
    Verdict.INVALID: Text("? ", style="bold yellow"),
}
_FAULT = Text("✗ ", style="bold red")
_NOTES = 4
_BAR = 24  # characters


def print_diagnosis(diagnosis: Diagnosis, console: Console | None = None) -> None:
    """Print the screen of `diagnosis`: each cause, what nothing explains, what is left."""
    (console or Console()).print(DiagnosisScreen(diagnosis))


@dataclass(frozen=True, slots=True)
class DiagnosisScreen:
    """What a terminal shows of a diagnosis; rich prints it, fitted to the terminal's width.

    Attributes:
        diagnosis: what is shown.
    """

    diagnosis: Diagnosis

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        diagnosis = self.diagnosis
        mark = _MARKS.get(diagnosis.verdict, _FAULT)
        yield Text.assemble(mark, (headline(diagnosis), "bold"))
        for cause in causes(diagnosis):
            yield Padding(_cause(cause), (1, 0, 0, 2))
        for rest in rests(diagnosis):
            yield Padding(_rest(rest), (1, 0, 0, 2))
        if closing := list(_closing(diagnosis)):
            yield Padding(Text("\n".join(closing)), (1, 0, 0, 2))
        yield Padding(_small_print(diagnosis), (1, 0, 0, 2))


def _cause(cause: Cause) -> Table:
    colour = _COLOURS[cause.grade]
    title = Text.assemble((cause.what, "bold"), (f"  {cause.name}", "dim"))
    lines: list[RenderableType] = [title, Text(cause.where), Text(cause.effect)]
    lines += [Text(cause.doubts, style="yellow")] if cause.doubts else []
    lines += [bar] if (bar := _bar(cause.share)) else []
    lines.append(Text(cause.seen, style="dim"))
    return _item(Text(f"{cause.rank}. {GRADES[cause.grade]}", style=colour), lines)


def _bar(share: float) -> Text | None:
    """The share of the error at the output, as a bar."""
    if not share > 0:
        return None
    full = math.ceil(min(share, 1.0) * _BAR)
    return Text.assemble(("━" * full, "cyan"), ("┄" * (_BAR - full), "dim"))


def _rest(rest: Rest) -> Table:
    title = Text.assemble((rest.where, "bold"), f" {rest.what}.")
    lines = [title, *(Text(hint) for hint in rest.hints)]
    return _item(Text("not explained", style="bold yellow"), lines)


def _item(label: Text, lines: Iterable[RenderableType]) -> Table:
    """A label on the left, and lines beside it."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, min_width=15)
    grid.add_column(overflow="fold", ratio=1)
    for place, line in enumerate(lines):
        grid.add_row("" if place else label, line)
    return grid


def _closing(diagnosis: Diagnosis) -> Iterator[str]:
    yield from filter(None, (equivalent_line(diagnosis), output_line(diagnosis)))


def _small_print(diagnosis: Diagnosis) -> Text:
    notes = [f"note: {named(note)}" for note in diagnosis.notes[:_NOTES]]
    if len(diagnosis.notes) > _NOTES:
        notes.append(f"and {len(diagnosis.notes) - _NOTES} notes more, in the reports")
    return Text("\n".join([basis_line(diagnosis), *notes]), style="dim")
