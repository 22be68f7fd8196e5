"""The gate's verdict on a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from parity.gate.result import GateResult
from parity.gate.words import NAMES, first_divergences, forgiven_line, headline, line
from parity.report.words import printable

__all__ = ["screen"]

MANY = 20


def screen(result: GateResult) -> RenderableType:
    """What `parity run --gate` prints below the comparisons."""
    mark = ("✓ ", "bold green") if result.passes else ("✗ ", "bold red")
    parts: list[RenderableType] = [
        Rule("gate", style="dim"),
        Text.assemble(mark, (headline(result), "bold")),
    ]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for who, first in first_divergences(result):
        said = Text.assemble(f"{printable(who)}: ", (first, "bold"))
        table.add_row("first divergence", said)
    for failure in result.failures[:MANY]:
        table.add_row(NAMES[failure.kind], Text(line(failure)))
    if len(result.failures) > MANY:
        table.add_row("", f"and {len(result.failures) - MANY:,} more, in the reports")
    for forgiven in result.forgiven[:MANY]:
        table.add_row("listed", Text(forgiven_line(forgiven), style="dim"))
    if result.improved:
        table.add_row("better", Text(_better(result)))
    if table.row_count:
        parts.append(Padding(table, (1, 0, 0, 2)))
    return Group(*parts)


def _better(result: GateResult) -> str:
    count = len(result.improved)
    more = f" and {count - 1:,} more" if count > 1 else ""
    return f"{printable(result.improved[0])}{more} (try: parity run --gate --update-baseline)"
