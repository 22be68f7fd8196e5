"""Judges a run: tolerance, coverage, baseline, and what is listed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date

from parity.diffing import DiffResult, Outcome, TapDiff
from parity.gate.baseline import Baseline, Best, errors_of
from parity.gate.listing import Lists
from parity.gate.result import EVERYWHERE, Failure, GateResult, Kind
from parity.report.numbers import size
from parity.report.words import place
from parity.run import Comparison, RunResult
from parity.run.gate_config import GateConfig
from parity.tolerance import Tolerance, Verdict, dtype_floor

__all__ = ["check"]

UPDATE = "parity run --gate --update-baseline"
ACCEPT = "parity run --gate --accept-worse REASON"
FEW = 3


def check(
    run: RunResult,
    config: GateConfig,
    *,
    tolerance: Tolerance,
    baseline: Baseline | None,
    today: date,
    whole: bool = True,
) -> GateResult:
    """Whether a run passes.

    Args:
        run: the run.
        config: `[gate]` of its configuration.
        tolerance: the rules that it was judged by, for the noise of the precisions they name.
        baseline: the best accepted run; None where there is none yet.
        today: the day on which listed entries must still hold.
        whole: whether all cases and candidates took part, so that what is absent is gone.
    """
    lists = Lists(config, today)
    improved: list[str] = []
    for comparison in run.comparisons:
        _check_one(comparison, config, lists)
        if config.baseline:
            improved += _ratchet(comparison, baseline, tolerance, lists)
    if whole:
        lists.add_stale()
        _check_gone(run, baseline if config.baseline else None, lists)
    return GateResult(run, tuple(lists.failures), tuple(lists.forgiven), tuple(improved))


def _in_a_row(problem: str) -> str:
    """A problem and what to try, for reports that have one line for both."""
    return re.sub(r"\n +(try|or): ([^\n]*)", r" (\1: \2)", problem)


def _check_one(comparison: Comparison, config: GateConfig, lists: Lists) -> None:
    """One comparison against its tolerance."""
    case, candidate, diff = comparison.case, comparison.candidate, comparison.diff
    sides = (("the reference", comparison.reference), (candidate, comparison.capture))
    problem = next(((who, state.problem) for who, state in sides if state.problem), None)
    if problem is not None or diff is None:
        who, why = problem or (candidate, "there was nothing to compare")
        words = f"{who} did not run to its end: {_in_a_row(why)}"
        lists.add(Failure(Kind.DID_NOT_RUN, case, candidate, EVERYWHERE, words))
        return
    if diff.outcome is Outcome.INVALID:
        # Where nothing can be concluded, single tensors show nothing either.
        lists.add(Failure(Kind.INCONCLUSIVE, case, candidate, EVERYWHERE, diff.because))
        return
    for kind, row, count in _refused(diff):
        more = f", and {count - 1:,} more of its tensors" if count > 1 else ""
        reason = row.reason or "was not compared, and the tolerance allows that"
        words = f"{reason}, at {place(row)}{more}"
        lists.add(Failure(kind, case, candidate, row.key.path, words))
    if not diff.coverage >= config.min_coverage:
        words = (
            f"{diff.coverage:.1%} of the reference's tensors were compared, and gate.min_coverage "
            f"is {config.min_coverage:.1%}"
        )
        lists.add(Failure(Kind.COVERAGE, case, candidate, EVERYWHERE, words))
    share = diff.model.parameters.value if diff.model is not None else 0.0
    if not share >= config.min_parameters:
        words = (
            f"modules with {share:.1%} of the model's parameters were compared, and "
            f"gate.min_parameters is {config.min_parameters:.1%}"
        )
        lists.add(Failure(Kind.COVERAGE, case, candidate, EVERYWHERE, words))


def _refused(diff: DiffResult) -> list[tuple[Kind, TapDiff, int]]:
    """By tap, in execution order: its first tensor that differs or was left out, and how many."""
    table = diff.table
    places: dict[tuple[str, Kind], list[int]] = {}
    for i, key in enumerate(table.keys):
        absent = table.candidates[i] is None or table.verdicts[i] is Verdict.UNDECIDED
        if absent:
            places.setdefault((key.path, Kind.NOT_COMPARED), []).append(i)
        elif not table.ok[i]:
            places.setdefault((key.path, Kind.DIVERGENCE), []).append(i)
    return [(kind, table.row(rows[0]), len(rows)) for (_, kind), rows in places.items()]


def _ratchet(
    comparison: Comparison, baseline: Baseline | None, tolerance: Tolerance, lists: Lists
) -> list[str]:
    """One comparison against the best accepted one; what got better, in words."""
    diff, case, candidate = comparison.diff, comparison.case, comparison.candidate
    if diff is None or diff.outcome is Outcome.INVALID:
        return []
    best = baseline.pairs.get((case, candidate)) if baseline is not None else None
    if best is None and any((f.case, f.candidate) == (case, candidate) for f in lists.failures):
        return []  # what does not pass cannot enter the baseline
    if best is None:
        words = "has no entry in the baseline, which says how good it was"
        lists.add(Failure(Kind.NO_BASELINE, case, candidate, EVERYWHERE, words, UPDATE))
        return []
    if not diff.coverage >= best.coverage - 1e-9:
        words = f"{diff.coverage:.1%} of the reference's tensors were compared, down from "
        words += f"{best.coverage:.1%} in the baseline"
        lists.add(Failure(Kind.COVERAGE, case, candidate, EVERYWHERE, words, ACCEPT))
    return _errors(diff, best, tolerance, lists, (case, candidate))


def _errors(
    diff: DiffResult, best: Best, tolerance: Tolerance, lists: Lists, pair: tuple[str, str]
) -> list[str]:
    now = errors_of(diff)
    refused = {f.tap for f in lists.failures if (f.case, f.candidate) == pair}
    left_out = {f.failure.tap for f in lists.forgiven if f.failure.kind is Kind.NOT_COMPARED}
    improved = []
    for name, was in best.errors.items():
        path = name.rpartition(":")[0]
        if name not in now:
            if path not in refused | left_out:
                words = f"{name} is in the baseline, and was not compared"
                lists.add(Failure(Kind.GONE, *pair, path, words, ACCEPT))
            continue
        error, row = now[name]
        noise = _noise(diff.table.row(row), tolerance)
        if not error <= was + noise and path not in refused:
            words = (
                f"{name} has a relative error of {size(error)}, up from {size(was)} in the "
                f"baseline, by more than its noise floor {size(noise)}"
            )
            lists.add(Failure(Kind.WORSE, *pair, path, words, ACCEPT))
        elif error < was - noise:
            improved.append(f"{pair[1]} on {pair[0]}: {name} {size(was)} -> {size(error)}")
    return improved


def _noise(row: TapDiff, tolerance: Tolerance) -> float:
    """How far a tap's error may move by rounding alone: its floor, in the port's precision."""
    floor = 0.0 if math.isnan(row.floor) else row.floor
    precision = tolerance.rules_for([row.key.path])[0].precision
    coarser = dtype_floor(precision) if precision and not row.calibrated and floor else 0.0
    return max(floor, coarser)


def _check_gone(run: RunResult, baseline: Baseline | None, lists: Lists) -> None:
    """Cases and candidates that the baseline knows, and that nobody ran."""
    ran = {(c.case, c.candidate) for c in run.comparisons}
    known: Mapping[tuple[str, str], Best] = baseline.pairs if baseline is not None else {}
    for case, candidate in sorted(set(known) - ran):
        words = "is in the baseline, and was not run"
        lists.add(Failure(Kind.GONE, case, candidate, EVERYWHERE, words, ACCEPT))
