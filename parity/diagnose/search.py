"""Finds the hypotheses, one or several, that turn the reference into the candidate at a tap."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from parity.diagnose.groups import Group
from parity.diagnose.hypothesis import Solve
from parity.diagnose.solve import solve_for
from parity.diagnose.trial import Chosen, Trial, holds
from parity.localize.local_errors import relative_error
from parity.localize.segment import Segment

__all__ = ["Found", "Limits", "search"]

# In sets of changes: only the most promising of those that are solved for, nothing far-fetched,
# and nothing that is too small beside the error to be seen.
_MOST_SOLVED = 12
_FAR_FETCHED = 3.0
_TOO_SMALL = 0.02
# Of sets that leave nearly as much, the one of likelier changes is followed.
_ODDER = 0.1
# Pairs of changes no odder than this are all tried: two that help only together are found so.
_LIKELY = 1.15
_LIKELY_WIDTH = 3
_ROUNDS = 4  # in which the numbers of several changes are solved for in turn
_FAILURES = (RuntimeError, IndexError, ValueError, TypeError, KeyError, AttributeError)


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a search goes.

    Attributes:
        depth: most changes that are tried together.
        beam: how many sets of changes are followed from one depth to the next.
        seconds: of this thread's processor time, for one search for several changes together;
            where trying each alone took longer, so may this. (Not wall time: what is found does
            not depend on what else the machine does.)
    """

    depth: int = 4
    beam: int = 6
    seconds: float = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a search found.

    Attributes:
        trials: all of the least number of changes that explain the tap, the most likely first.
        nearest: the single change that comes nearest, for a report.
        alone: what came of each change by itself.
    """

    trials: list[Trial]
    nearest: Trial | None
    alone: list[Trial]


def search(
    segment: Segment,
    groups: Sequence[Group],
    limits: Limits | None = None,
    *,
    hints: Collection[str] = (),
    alone: Sequence[Trial] | None = None,
) -> Found:
    """Trials that explain a tap down to its noise floor, fewest changes first.

    Args:
        segment: the tap.
        groups: what may be changed.
        limits: how far to go.
        hints: names of hypotheses that hold elsewhere, and are likely to hold here too.
        alone: what came of each change alone, if it was tried before.

    Returns:
        What was found.
    """
    return _Search(segment, groups, limits or Limits(), hints).go(alone)


class _Search:
    def __init__(
        self, segment: Segment, groups: Sequence[Group], limits: Limits, hints: Collection[str]
    ) -> None:
        self.segment = segment
        self.limits = limits
        self.hints = hints
        self.stop_at = math.inf
        self.nearest: Trial | None = None
        self._seen: set[frozenset[tuple[str, str, str]]] = set()
        self._pool: list[Group] = list(groups)
        self._effects: dict[int, float] = {}

    def go(self, alone: Sequence[Trial] | None) -> Found:
        started = time.thread_time()
        start = Trial((), self.segment.error)
        singles = found = self._alone(start) if alone is None else self._again(alone)
        now = time.thread_time()
        self.stop_at = now + max(self.limits.seconds, now - started)
        self.nearest = min(found, key=lambda t: t.error, default=None)
        accepted = self._accepted(found)
        if accepted or self.limits.depth == 1:
            return Found(accepted, self.nearest, singles)
        self._keep_what_helps(found)
        hinted = self._hinted(start)
        if self._accepted([hinted]):
            return Found([hinted], self.nearest, singles)
        states = [*self._beam(found, self.limits.beam), *([hinted] if hinted.chosen else [])]
        for depth in range(1, self.limits.depth):
            likely = self._likely_pairs(singles) if depth == 1 else []
            found = [trial for state in states for trial in self._extend(state)]
            followed = self._beam(found, self.limits.beam) + self._beam(likely, _LIKELY_WIDTH)
            followed += [self._settled(trial) for trial in followed]
            accepted = self._accepted([*found, *likely, *followed])
            states = self._beam(followed, self.limits.beam + _LIKELY_WIDTH)
            if accepted or not states or time.thread_time() > self.stop_at:
                break
        return Found(accepted, self.nearest, singles)

    def _accepted(self, found: Iterable[Trial]) -> list[Trial]:
        """The trials that explain the tap with no change too many, the likeliest first."""
        accepted = [t for t in found if holds(self.segment, t) and self._needs_all(t)]
        return sorted(accepted, key=lambda t: (t.cost, t.error))

    def _likely_pairs(self, singles: Sequence[Trial]) -> list[Trial]:
        """All pairs of likely changes that differ in what they do; within half of the time."""
        until = (time.thread_time() + self.stop_at) / 2
        distinct = {
            (f"{t.error:.5e}", f"{t.effect:.5e}"): t.chosen[0].group
            for t in sorted(singles, key=lambda t: -t.cost)
            if t.effect > 0 and t.chosen[0].group.solve is None and t.cost <= _LIKELY
        }
        found = []
        for pair in combinations(sorted(distinct.values(), key=lambda g: g.cost), 2):
            if time.thread_time() > until:
                break
            names = frozenset(group.key for group in pair)
            if names not in self._seen:
                self._seen.add(names)
                error = self.segment.error_with(edit for g in pair for edit in g.edits)
                found.append(Trial(tuple(Chosen(group) for group in pair), error))
        return [trial for trial in found if math.isfinite(trial.error)]

    def _again(self, alone: Sequence[Trial]) -> list[Trial]:
        """What came of each change alone in an earlier search of the same tap."""
        self._pool = [trial.chosen[0].group for trial in alone]
        self._seen.update(trial.names for trial in alone)
        self._effects = {id(t.chosen[0].group): t.effect for t in alone}
        return list(alone)

    def _alone(self, start: Trial) -> list[Trial]:
        """Each change by itself, and how much it changes."""
        found = []
        for group in self._pool:
            trial = self._try(start, group)
            if trial is None:
                continue
            self._seen.add(trial.names)
            effect = self._effect(trial)
            self._effects[id(group)] = effect
            found.append(replace(trial, effect=effect))
        return found

    def _effect(self, trial: Trial) -> float:
        try:
            return relative_error(self.segment.run(trial.edits), self.segment.ours)[0]
        except _FAILURES:
            return 0.0

    def _keep_what_helps(self, found: Sequence[Trial]) -> None:
        """What changes nothing alone is not tried with others, nor what seldom is the cause."""
        solved = sorted(
            (t for t in found if t.chosen[0].value is not None),
            key=lambda t: t.error,
        )[:_MOST_SOLVED]
        solved += [
            t
            for t in found
            if t.chosen[0].value is not None
            and t.chosen[0].group.first.name in self.hints
            and t not in solved
        ]
        fixed = [t for t in found if t.chosen[0].value is None]
        self._pool = [
            t.chosen[0].group
            for t in (*fixed, *solved)
            if self._effects[id(t.chosen[0].group)] > 0 and t.chosen[0].group.cost < _FAR_FETCHED
        ]

    def _hinted(self, start: Trial) -> Trial:
        """What holds elsewhere, one after the other, as long as it brings the reference nearer."""
        best = start
        for group in [g for g in self._pool if g.first.name in self.hints and not g.narrow]:
            trial = self._try(best, group)
            if trial is not None and trial.error < 0.99 * best.error:
                best = trial
        return best

    def _extend(self, state: Trial) -> Iterator[Trial]:
        for group in self._pool:
            if time.thread_time() > self.stop_at:
                return
            # Too small to matter yet: its turn comes when the larger causes are out of the way.
            # (What is solved for may matter more once it is solved for again.)
            if group.solve is None and self._effects[id(group)] < _TOO_SMALL * state.error:
                continue
            names = state.names | {group.key}
            if names in self._seen or group.key in state.names:
                continue
            self._seen.add(names)
            trial = self._try(state, group)
            if trial is not None:
                yield trial

    def _try(self, state: Trial, group: Group) -> Trial | None:
        before = state.edits
        if group.solve is None:
            error = self.segment.error_with((*before, *group.edits))
            return Trial((*state.chosen, Chosen(group)), error) if math.isfinite(error) else None
        value, error = solve_for(
            group.solve,
            lambda edits: self.segment.run((*before, *edits)),
            self.segment.theirs,
        )
        if not math.isfinite(error):
            return None
        return Trial((*state.chosen, Chosen(group, value)), error)

    def _settled(self, trial: Trial) -> Trial:
        """The same changes, each number solved for once more beside the others as they are now."""
        for _ in range(_ROUNDS):
            before = trial.error
            for place, one in enumerate(trial.chosen):
                if one.value is None or one.group.solve is None:
                    continue
                if time.thread_time() > self.stop_at:
                    return trial
                trial = self._solved_again(trial, place, one.group.solve)
            if holds(self.segment, trial) or not trial.error < 0.5 * before:
                break
        return trial

    def _solved_again(self, trial: Trial, place: int, solve: Solve) -> Trial:
        chosen = trial.chosen
        before = [edit for one in chosen[:place] for edit in one.edits]
        behind = [edit for one in chosen[place + 1 :] for edit in one.edits]
        value, error = solve_for(
            replace(solve, guesses=(*solve.guesses, chosen[place].value or 0.0)),
            lambda edits: self.segment.run((*before, *edits, *behind)),
            self.segment.theirs,
        )
        if not error < trial.error:
            return trial
        return Trial(
            (*chosen[:place], Chosen(chosen[place].group, value), *chosen[place + 1 :]), error
        )

    def _needs_all(self, trial: Trial) -> bool:
        """Whether none of the changes could be left out."""
        if len(trial.chosen) < 2:
            return True
        return all(
            not self.segment.error_with(
                edit for one in trial.chosen if one is not left_out for edit in one.edits
            )
            <= self.segment.floor
            for left_out in trial.chosen
        )

    def _beam(self, found: Sequence[Trial], width: int) -> list[Trial]:
        """The most promising trials, of which few share a change, a place or what they come to."""
        kept: list[Trial] = []
        shares: Counter[object] = Counter()
        for trial in sorted(found, key=_promise):
            marks = _marks(trial)
            if not trial.chosen or any(shares[mark] >= most for mark, most in marks):
                continue
            shares.update(mark for mark, _ in marks)
            kept.append(trial)
            if len(kept) == width:
                break
        return kept


def _promise(trial: Trial) -> float:
    """What remains of the error, and a little more where the changes are far-fetched."""
    return trial.error * (1 + _ODDER * trial.cost)


def _marks(trial: Trial) -> list[tuple[object, int]]:
    """What a trial may share with others that are followed, each with how many may have it."""
    if not trial.chosen:
        return []
    last, same = trial.chosen[-1].group.first, f"{trial.error:.4e}"
    changes: list[tuple[object, int]] = [(one.group.key, 3) for one in trial.chosen[:-1]]
    return [*changes, (last.site.kind, 2), (same, 2), ((same, last.name), 1)]
