"""The rules of the gate.

A gate that can be opened by leaving something out is none: what was not compared fails like what
differs, a list entry needs a reason and a last day, and an entry with nothing to excuse fails too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from parity.diffing import DiffResult, Outcome, TapDiff
from parity.gate.baseline import Baseline, Mark, marks_of
from parity.gate.lists import Lists, words
from parity.gate.verdict import Excused, Failure, GateResult, Kind
from parity.report.words import headline, place
from parity.run import Comparison, Config, RunResult

__all__ = ["judge"]

ACCEPT = "parity run --gate --accept"
# The gravest first; within a kind, in the order of execution.
ORDER = tuple(Kind)


@dataclass(frozen=True, slots=True)
class _Rules:
    config: Config
    expected: Lists
    skipped: Lists
    excused: list[Excused]

    def excuse(
        self, lists: Lists, kind: Kind, comparison: Comparison, tap: str | None = None
    ) -> bool:
        """Whether a list excuses a failure; notes that it did."""
        pair = comparison.case, comparison.candidate
        entry = lists.find(*pair, tap)
        if entry is not None:
            self.excused.append(Excused(kind, *pair, tap or "", entry.reason, str(entry.until)))
        return entry is not None


def judge(
    run: RunResult,
    config: Config,
    baseline: Baseline | None,
    *,
    today: date | None = None,
    part: bool = False,
    left_out: Iterable[str] = (),
) -> GateResult:
    """Judge a run.

    Args:
        run: what was found.
        config: the configuration, whose `gate` table holds the rules.
        baseline: the best accepted run; None where the file is not there.
        today: the day that the lists' last days are held against; today by default.
        part: whether only a part of the candidates and cases was asked for.
        left_out: names of cases that the configuration has and its selection leaves out.
    """
    gate, day = config.gate, today or date.today()  # noqa: DTZ011 - a day of the user's calendar
    rules = _Rules(config, Lists(gate.expected, day), Lists(gate.skip, day), [])
    failures, better, new = _left_out(rules, left_out), 0, 0
    for comparison in run.comparisons:
        failures += _comparison(comparison, rules)
        if gate.baseline and baseline is not None and comparison.diff is not None:
            best = baseline.of(comparison.case, comparison.candidate)
            marks = marks_of(comparison.diff)
            failures += _ratchet(comparison, best, marks, rules)
            known = [(mark, best[name]) for name, mark in marks.items() if name in best]
            better += sum(mark.is_better_than(old) for mark, old in known)
            new += len(marks) - len(known)
    failures += _stale(rules, whole=not part)
    path = config.resolve(gate.baseline) if gate.baseline else None
    if path is not None and baseline is None:
        what = f"there is no {gate.baseline}, so nothing says how good the port was"
        failures.append(Failure(Kind.NO_BASELINE, what, hint=f"{ACCEPT}, and commit the file"))
    return GateResult(
        run, tuple(sorted(failures, key=lambda failure: ORDER.index(failure.kind))),
        tuple(rules.excused), better, new, path, config.path, part,
    )  # fmt: skip


def _left_out(rules: _Rules, names: Iterable[str]) -> list[Failure]:
    found = []
    for case in names:
        for candidate in rules.config.candidates:
            comparison = Comparison(case, candidate, *(_nothing(),) * 2)
            if not rules.excuse(rules.skipped, Kind.SKIPPED, comparison):
                what = "the case is left out by the configuration's selection"
                hint = "list it under gate.skip, with a reason"
                found.append(Failure(Kind.SKIPPED, what, case, candidate, hint=hint))
    return found


def _comparison(comparison: Comparison, rules: _Rules) -> list[Failure]:
    case, candidate = comparison.case, comparison.candidate
    if comparison.skipped:
        rules.excuse(rules.skipped, Kind.SKIPPED, comparison)
        return []
    for name, state in (("the reference", comparison.reference), (candidate, comparison.capture)):
        if state.problem:
            first, *rest = state.problem.split("\n")
            what = f"{name} did not run to its end: {first}"
            hint = "\n".join(rest).strip().removeprefix("try: ")
            return [Failure(Kind.DID_NOT_RUN, what, case, candidate, hint=hint)]
    diff = comparison.diff
    if diff is None or diff.outcome is Outcome.INVALID:
        what = headline(diff) if diff else "Nothing was compared"
        return [Failure(Kind.INCONCLUSIVE, what, case, candidate)]
    taps = list(dict.fromkeys(key.path for key in diff.table.keys))
    rules.expected.meet(case, candidate, taps)
    rules.skipped.meet(case, candidate, taps)
    return [*_refused(comparison, diff, rules), *_not_compared(comparison, diff, rules),
            *_coverage(comparison, diff, rules)]  # fmt: skip


def _refused(comparison: Comparison, diff: DiffResult, rules: _Rules) -> Iterator[Failure]:
    """One failure a tap that the tolerance refuses: its first tensor, and how many more."""
    first = diff.first_divergence
    for tap, rows in _by_tap(row for row in diff.failures if row.candidate is not None).items():
        if rules.excuse(rules.expected, Kind.DIVERGENT, comparison, tap):
            continue
        more = f" (and {len(rows) - 1:,} more of its tensors)" if len(rows) > 1 else ""
        late = rules.expected.expired(comparison.case, comparison.candidate, tap)
        yield Failure(
            Kind.DIVERGENT, f"{rows[0].reason}{more}{late}", comparison.case,
            comparison.candidate, tap, place(rows[0]),
            first=first is not None and first.key.path == tap,
            hint=_look(comparison, tap),
        )  # fmt: skip


def _look(comparison: Comparison, tap: str) -> str:
    page = comparison.reports.get("html")
    if page is not None:
        return f"{page}; or: parity show {comparison.capture.path} {tap}"
    return f"parity show {comparison.capture.path} {tap}"


def _not_compared(comparison: Comparison, diff: DiffResult, rules: _Rules) -> Iterator[Failure]:
    """Tensors of the reference that nothing was compared with, whatever the tolerance says."""
    table = diff.table
    ours = np.array([spec is not None for spec in table.references], bool)
    theirs = np.array([spec is not None for spec in table.candidates], bool)
    open_rows = np.flatnonzero(ours & ~table.compared & (table.ok | ~theirs))
    for tap, rows in _by_tap(table.row(int(i)) for i in open_rows).items():
        if rules.excuse(rules.skipped, Kind.SKIPPED, comparison, tap):
            continue
        what = "the candidate has no such tensor" if rows[0].candidate is None else (
            "too little was kept of the tensors to compare them")  # fmt: skip
        more = f" ({len(rows):,} of them)" if len(rows) > 1 else ""
        late = rules.skipped.expired(comparison.case, comparison.candidate, tap)
        yield Failure(
            Kind.SKIPPED, f"was not compared: {what}{more}{late}", comparison.case,
            comparison.candidate, tap, place(rows[0]),
            hint="list the tap under gate.skip, with a reason, if that is right",
        )  # fmt: skip


def _by_tap(rows: Iterable[TapDiff]) -> dict[str, list[TapDiff]]:
    found: dict[str, list[TapDiff]] = {}
    for row in rows:
        found.setdefault(row.key.path, []).append(row)
    return found


def _coverage(comparison: Comparison, diff: DiffResult, rules: _Rules) -> list[Failure]:
    least = rules.config.gate.min_coverage
    if diff.coverage >= least:
        return []
    what = f"{diff.coverage:.2%} of the reference's tensors were compared, of at least {least:.2%}"
    return [Failure(Kind.COVERAGE, what, comparison.case, comparison.candidate)]


def _ratchet(
    comparison: Comparison, best: Mapping[str, Mark], marks: Mapping[str, Mark], rules: _Rules
) -> Iterator[Failure]:
    """What is worse than it was, or is not there any more."""
    pair = comparison.case, comparison.candidate
    refused = set() if comparison.diff is None else _refused_taps(comparison.diff, rules, pair)
    for name, old in best.items():
        tap, _, port = name.rpartition(":")
        now = marks.get(name)
        if now is None:
            if tap not in refused and not rules.excuse(rules.skipped, Kind.GONE, comparison, tap):
                what = "was compared in the best accepted run, and is not any more"
                yield Failure(Kind.GONE, what, *pair, tap, port, hint=_loosen())
        elif now.is_worse_than(old) and tap not in refused:
            what = (
                f"rel_l2 {now.error:.3g} is worse than the best accepted {old.error:.3g} by more "
                f"than its noise floor {now.floor:.1g}"
            )
            yield Failure(Kind.WORSE, what, *pair, tap, port, hint=_loosen())


def _refused_taps(diff: DiffResult, rules: _Rules, pair: tuple[str, str]) -> set[str]:
    """Taps that fail by the tolerance already, and are not excused from it."""
    failing = {diff.table.keys[i].path for i in np.flatnonzero(~diff.table.ok).tolist()}
    return {tap for tap in failing if rules.expected.find(*pair, tap) is None}


def _loosen() -> str:
    return "if that is meant: parity run --gate --accept-worse, and commit the file"


def _stale(rules: _Rules, *, whole: bool) -> list[Failure]:
    lists: Sequence[tuple[str, Lists]] = (("expected", rules.expected), ("skip", rules.skipped))
    return [
        Failure(
            Kind.STALE,
            f"the entry of gate.{name} about {words(entry)} has nothing to excuse ({entry.reason})",
            hint=f"take it out of {rules.config.path.name}",
        )
        for name, lists_ in lists
        for entry in lists_.stale(whole=whole)
    ]
