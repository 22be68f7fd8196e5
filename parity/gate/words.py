"""What the gate found, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from parity.gate.result import Failure, Forgiven, GateResult, Kind
from parity.report.words import first_line, printable

__all__ = ["NAMES", "first_divergences", "forgiven_line", "headline", "line"]

NAMES = {
    Kind.DID_NOT_RUN: "did not run",
    Kind.INCONCLUSIVE: "inconclusive",
    Kind.DIVERGENCE: "divergence",
    Kind.NOT_COMPARED: "not compared",
    Kind.COVERAGE: "coverage",
    Kind.WORSE: "worse than the baseline",
    Kind.NO_BASELINE: "no baseline",
    Kind.GONE: "gone",
    Kind.STALE: "stale entry",
}


def headline(result: GateResult) -> str:
    """Whether the run passes, in one sentence."""
    total = len(result.run.comparisons)
    listed = f", {_many(len(result.forgiven), 'listed failure')} aside" if result.forgiven else ""
    if result.passes:
        return f"The gate passes: {_many(total, 'comparison')}{listed}."
    found = _many(len(result.failures), "reason")
    pairs = {(f.case, f.candidate) for f in result.failures if f.case and f.candidate}
    concerned = f" in {len(pairs):,} of {_many(total, 'comparison')}" if pairs else ""
    return f"The gate does not pass: {found}{concerned}{listed}."


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def first_divergences(result: GateResult) -> Iterator[tuple[str, str]]:
    """Of every comparison that does not pass and that differs: who on what, and where first."""
    for comparison in result.run.comparisons:
        failed = result.of(comparison.case, comparison.candidate)
        if comparison.diff is None or not any(f.kind is Kind.DIVERGENCE for f in failed):
            continue
        if first := first_line(comparison.diff):
            yield f"{comparison.candidate} on {comparison.case}", first


def line(failure: Failure) -> str:
    """A failure in one line."""
    where = f"{failure.where}: " if failure.where else ""
    hint = f" (try: {failure.hint})" if failure.hint else ""
    return printable(" ".join(f"{where}{failure.words}{hint}".split()))


def forgiven_line(forgiven: Forgiven) -> str:
    """A listed failure in one line, with its reason and last day."""
    entry = forgiven.entry
    return f"{line(forgiven.failure)} [{printable(entry.reason)}, until {entry.until}]"
