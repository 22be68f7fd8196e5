"""The gate's verdict as Markdown: a step summary, or a comment on a merge request."""

from __future__ import annotations

import os
from pathlib import Path

from parity.errors import InputError
from parity.gate.result import GateResult
from parity.gate.words import NAMES, first_divergences, forgiven_line, headline, line
from parity.report.causes import summary as causes
from parity.report.escape import markdown_text as text
from parity.report.words import headline as diff_headline

__all__ = ["append_to", "to_markdown"]

MANY = 25


def to_markdown(result: GateResult) -> str:
    """Verdict, first divergences, one line a comparison, every reason, what is listed."""
    mark = "✅" if result.passes else "❌"
    parts = [f"## {mark} {text(headline(result))}"]
    parts += [
        f"**First divergence** of {text(who)}: {text(first)}"
        for who, first in first_divergences(result)
    ]
    parts.append(_table(result))
    parts += _why(result)
    if result.failures:
        found = [f"- **{NAMES[f.kind]}**: {text(line(f))}" for f in result.failures[:MANY]]
        if len(result.failures) > MANY:
            found.append(f"- and {len(result.failures) - MANY:,} more")
        parts.append("### Why it does not pass\n\n" + "\n".join(found))
    if result.forgiven:
        known = [f"- {text(forgiven_line(f))}" for f in result.forgiven[:MANY]]
        parts.append("### Listed\n\n" + "\n".join(known))
    if result.improved:
        better = [f"- {text(words)}" for words in result.improved[:MANY]]
        parts.append(
            "### Better than the baseline\n\n"
            + "\n".join(better)
            + "\n\n`parity run --gate --update-baseline` keeps that."
        )
    return "\n\n".join(parts) + "\n"


def _table(result: GateResult) -> str:
    rows = ["| | candidate | case | outcome |", "|---|---|---|---|"]
    for comparison in result.run.comparisons:
        mark = "❌" if result.of(comparison.case, comparison.candidate) else "✅"
        diff = comparison.diff
        ended = not comparison.reference.problem and not comparison.capture.problem
        said = diff_headline(diff) if diff is not None and ended else "did not run to its end"
        cells = (mark, text(comparison.candidate), text(comparison.case), text(said))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _why(result: GateResult) -> list[str]:
    return [
        f"**Cause** for {text(comparison.candidate)} on {text(comparison.case)}: "
        f"{text(causes(comparison.diagnosis))}"
        for comparison in result.run.comparisons
        if comparison.diagnosis is not None and result.of(comparison.case, comparison.candidate)
    ]


def append_to(path: str | os.PathLike[str], markdown: str) -> None:
    """Add a summary to a file that other steps write too.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(markdown + "\n")
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(path)) from None
