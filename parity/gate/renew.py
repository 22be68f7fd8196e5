"""Moves the baseline: to the better without asking, to the worse only with a reason."""

from __future__ import annotations

import math
from datetime import date

from parity.gate.baseline import Baseline, Best, errors_of
from parity.gate.result import GateResult, Kind
from parity.run import Comparison

__all__ = ["accept_worse", "tighten"]


def tighten(result: GateResult, baseline: Baseline | None) -> Baseline:
    """The baseline with what passes now: each tap at the better of then and now.

    Comparisons that do not pass stay as they are in it. What is listed as an expected failure
    enters too, so that it does not get worse unnoticed.
    """
    old = baseline or Baseline()
    pairs = dict(old.pairs)
    for comparison in result.run.comparisons:
        key = comparison.case, comparison.candidate
        others = [f for f in result.of(*key) if f.kind is not Kind.NO_BASELINE]
        now = _best(comparison)
        if now is None or others:
            continue
        was = pairs.get(key)
        pairs[key] = now if was is None else _better(was, now)
    return Baseline(pairs, old.accepted)


def accept_worse(
    result: GateResult, baseline: Baseline | None, *, reason: str, today: date, whole: bool = True
) -> Baseline:
    """The baseline as this run is, better or worse, with the reason why that is accepted.

    The tolerance is not moved by that. A comparison of which nothing can be concluded stays.

    Args:
        result: the judged run.
        baseline: the one before.
        reason: kept in the file, with the day.
        today: the day.
        whole: whether all took part, so that what was not run is dropped.
    """
    old = baseline or Baseline()
    kept = {} if whole else dict(old.pairs)
    changed = []
    for comparison in result.run.comparisons:
        key = comparison.case, comparison.candidate
        now = _best(comparison)
        if now is None:
            kept |= {key: old.pairs[key]} if key in old.pairs else {}
            continue
        changed += [key] if _is_worse(now, old.pairs.get(key)) else []
        kept[key] = now
    changed += [key for key in old.pairs if key not in kept]
    entries = [
        {"date": today.isoformat(), "reason": reason, "case": case, "candidate": candidate}
        for case, candidate in changed
    ]
    return Baseline(kept, (*old.accepted, *entries))


def _best(comparison: Comparison) -> Best | None:
    """This run as an entry; None where it shows nothing to hold another against."""
    diff = comparison.diff
    if comparison.exit_status > 1 or diff is None:
        return None
    errors = {name: error for name, (error, _) in errors_of(diff).items() if math.isfinite(error)}
    return Best(diff.coverage, errors)


def _better(was: Best, now: Best) -> Best:
    names = now.errors.keys() | was.errors.keys()
    errors = {
        name: min(was.errors.get(name, math.inf), now.errors.get(name, math.inf)) for name in names
    }
    return Best(max(was.coverage, now.coverage), errors)


def _is_worse(now: Best, was: Best | None) -> bool:
    if was is None:
        return False
    worse = any(now.errors.get(name, math.inf) > error for name, error in was.errors.items())
    return worse or now.coverage < was.coverage
