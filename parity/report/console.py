"""The terminal screen of one comparison."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from parity.diffing import DiffResult, Outcome, TapDiff
from parity.report.series import by_order, by_step, sparkline
from parity.report.words import (
    NAMES,
    counts_line,
    headline,
    model_line,
    place,
    printable,
    share_line,
    side,
    worst_element,
)
from parity.tolerance import Verdict

__all__ = ["MARKS", "Screen", "print_result", "worst_and_first"]

COLOURS = {
    Verdict.IDENTICAL: "green",
    Verdict.WITHIN_NOISE: "green",
    Verdict.DRIFT: "yellow",
    Verdict.DIVERGENT: "red",
    Verdict.NONFINITE: "bold red",
    Verdict.SHAPE: "red",
    Verdict.DTYPE: "red",
    Verdict.MISSING: "magenta",
    Verdict.EXTRA: "cyan",
    Verdict.UNDECIDED: "yellow",
}
# Widths in characters, and how much fits a screen that is read at a glance.
WIDE = 110
AGREEING_ROWS = 5
NOTES = 4
NUMBERS = ("rel. error", "floor", "1 − cosine", "max |Δ|", "ULP")
MARKS = {
    Outcome.HOLDS: Text("✓ ", style="bold green"),
    Outcome.BROKEN: Text("✗ ", style="bold red"),
    Outcome.INVALID: Text("? ", style="bold yellow"),
}


def print_result(result: DiffResult, console: Console | None = None, *, rows: int = 12) -> None:
    """Print the screen of `result`: verdict, first divergence, error over time, worst taps."""
    (console or Console()).print(Screen(result, rows))


@dataclass(frozen=True, slots=True)
class Screen:
    """What a terminal shows of a result; rich prints it, fitted to the terminal's width.

    Attributes:
        result: the comparison.
        rows: how many taps its table has at most.
    """

    result: DiffResult
    rows: int = 12

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        result = self.result
        yield Text.assemble(MARKS[result.outcome], (headline(result), "bold"))
        yield Padding(_facts(result), (1, 0, 0, 2))
        if result.compared:
            wide = options.max_width >= WIDE
            # Where everything agrees, a few of the largest errors say enough.
            rows = self.rows if result.failures else min(self.rows, AGREEING_ROWS)
            yield Padding(_table(result, rows, wide=wide), (1, 0, 0, 2))
        # Said above already.
        said = f"noise floors: {result.floors.words}"
        if notes := tuple(note for note in result.notes if note != said):
            yield Padding(_notes(notes), (1, 0, 0, 2))


def _facts(result: DiffResult) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("reference", side(result, "reference"))
    grid.add_row("candidate", side(result, "candidate"))
    if first := result.first_divergence:
        grid.add_row("first divergence", _first(first))
    grid.add_row("verdicts", counts_line(result) or "none")
    grid.add_row("coverage", f"{share_line(result)}; tolerance {result.tolerance}")
    if of_the_model := model_line(result):
        grid.add_row("model compared", of_the_model)
    grid.add_row("noise floors", printable(result.floors.words))
    for label, line in _lines(result):
        grid.add_row(label, line)
    return grid


def _first(row: TapDiff) -> Text:
    details = "; ".join(filter(None, (row.reason, worst_element(row), row.source)))
    return Text.assemble(
        (printable(row.key.path), "bold"), f"\n{place(row)}\n", (printable(details), "")
    )


def _lines(result: DiffResult) -> Iterable[tuple[str, Text]]:
    """Sparklines of the error over execution and over the steps of each phase."""
    order = by_order(result)
    if order.size > 1:
        yield "error, in order", _scaled(order)
    for phase, errors in by_step(result).items():
        if errors.size > 1:
            yield f"error by step{f', {phase}' if phase else ''}", _scaled(errors)


def _scaled(errors: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Text:
    finite = errors[np.isfinite(errors)]
    top = f"up to {finite.max():.1e}" if finite.size and finite.max() > 0 else "none"
    more = "" if finite.size == errors.size else ", × not known"
    return Text.assemble((sparkline(errors), "cyan"), (f"  {top}{more}", "dim"))


def _table(result: DiffResult, rows: int, *, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("worst taps" if result.outcome is Outcome.HOLDS else "first and worst taps",
                     overflow="fold", ratio=1)  # fmt: skip
    table.add_column("verdict")
    for title in NUMBERS if wide else NUMBERS[:3]:
        table.add_column(title, justify="right", no_wrap=True)
    for row in worst_and_first(result, rows):
        name = Text.assemble(printable(row.key.path), (f"\n{place(row)}", "dim"))
        numbers = _numbers(row)
        table.add_row(name, _verdict(row), *(numbers if wide else numbers[:3]))
    return table


def worst_and_first(result: DiffResult, rows: int) -> list[TapDiff]:
    """The first failures in execution order, then the worst tensors; no tap and port twice."""
    chosen: dict[tuple[str, str], TapDiff] = {}
    for ranked, limit in ((result.failures, max(rows // 2, 1)), (result.worst(len(result)), rows)):
        for row in ranked:
            if len(chosen) >= limit:
                break
            if row.candidate is not None:
                chosen.setdefault((row.key.path, row.key.port), row)
    return list(chosen.values())


def _verdict(row: TapDiff) -> Text:
    return Text(NAMES.get(row.verdict, str(row.verdict)), style=COLOURS.get(row.verdict, ""))


def _numbers(row: TapDiff) -> tuple[str, ...]:
    if not row.metrics:
        return ("",) * len(NUMBERS)
    metrics = row.metrics
    return (
        _short(metrics["rel_l2"]),
        _short(row.floor),
        _short(metrics["one_minus_cosine"]),
        _short(metrics["max_abs"]),
        "" if math.isnan(metrics["max_ulp"]) else f"{metrics['max_ulp']:,.0f}",
    )


def _short(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "0" if value == 0 else f"{value:.1e}"


def _notes(notes: tuple[str, ...]) -> Text:
    lines = [f"note: {printable(note)}" for note in notes[:NOTES]]
    if len(notes) > NOTES:
        lines.append(f"and {len(notes) - NOTES} notes more, in the reports")
    return Text("\n".join(lines), style="dim")
