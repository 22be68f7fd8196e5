"""A result as Markdown, for pull requests and documents."""

from __future__ import annotations

import math

from parity.diagnose import Diagnosis
from parity.diffing import DiffResult, TapDiff
from parity.report.console import worst_and_first
from parity.report.diagnosis_markdown import diagnosis_to_markdown
from parity.report.escape import markdown_code as code
from parity.report.escape import markdown_text as text
from parity.report.series import by_order, sparkline
from parity.report.words import NAMES, counts_line, headline, model_line, place, share_line, side

__all__ = ["to_markdown"]


def to_markdown(
    result: DiffResult,
    diagnosis: Diagnosis | None = None,
    *,
    title: str = "Parity",
    rows: int = 20,
) -> str:
    """A short report: verdict, first divergence, causes, and a table of at most `rows` taps."""
    parts = [f"## {text(title)}", f"**{text(headline(result))}**", _facts(result)]
    if diagnosis is not None:
        parts.append(diagnosis_to_markdown(diagnosis, title="Why", level=3).rstrip())
    if result.compared:
        parts.append(_table(worst_and_first(result, rows)))
    if result.notes:
        parts.append("\n".join(f"- {text(note)}" for note in result.notes))
    return "\n\n".join(parts) + "\n"


def _facts(result: DiffResult) -> str:
    lines = [
        f"- reference: {text(side(result, 'reference'))}",
        f"- candidate: {text(side(result, 'candidate'))}",
        f"- verdicts: {counts_line(result) or 'none'}",
        f"- coverage: {share_line(result)}; tolerance {text(result.tolerance)}",
    ]
    if of_the_model := model_line(result):
        lines.append(f"- model compared: {of_the_model}")
    if first := result.first_divergence:
        where = f"`{code(first.key.path)}` ({text(place(first))})"
        lines.insert(0, f"- first divergence: {where}: {text(first.reason)}")
    order = by_order(result)
    if order.size > 1:
        lines.append(f"- error in execution order: {sparkline(order)}")
    return "\n".join(lines)


def _table(rows: list[TapDiff]) -> str:
    head = "| tap | where | verdict | rel. error | floor | max abs | 1 − cosine |\n"
    rule = "|---|---|---|--:|--:|--:|--:|\n"
    return head + rule + "\n".join(_row(row) for row in rows)


def _row(row: TapDiff) -> str:
    metrics = row.metrics
    names = ("rel_l2", "max_abs", "one_minus_cosine")
    error, largest, angle = (metrics.get(name, math.nan) for name in names)
    cells = [
        f"`{code(row.key.path)}`",
        text(place(row)),
        NAMES.get(row.verdict, str(row.verdict)),
        *("" if math.isnan(x) else f"{x:.1e}" for x in (error, row.floor, largest, angle)),
    ]
    return f"| {' | '.join(cells)} |"
