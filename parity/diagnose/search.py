"""Finds the hypotheses, one or several, that turn the reference into the candidate at a tap."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from parity.diagnose.groups import Group
from parity.diagnose.hypothesis import Solve
from parity.diagnose.solve import solve_for
from parity.localize.execute import Edit
from parity.localize.local_errors import relative_error
from parity.localize.segment import Segment

__all__ = ["Chosen", "Found", "Limits", "Trial", "alpha", "holds", "search", "tell_apart"]

# In sets of changes: only the most promising of those that are solved for, nothing far-fetched,
# and nothing that is too small beside the error to be seen.
_MOST_SOLVED = 12
_FAR_FETCHED = 3.0
_TOO_SMALL = 0.02
_ROUNDS = 4  # in which the numbers of several changes are solved for in turn
# Where a change makes rounding larger: how much more than the reference's is worth a look.
_NEARLY = 30.0
_SMALL_PART = 1e-3
_FAILURES = (RuntimeError, IndexError, ValueError, TypeError, KeyError, AttributeError)


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a search goes.

    Attributes:
        depth: most changes that are tried together.
        beam: how many sets of changes are followed from one depth to the next.
        seconds: wall time of one search for several changes together; where trying each alone
            took longer, so may this.
    """

    depth: int = 4
    beam: int = 6
    seconds: float = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A change of a trial.

    Attributes:
        group: what is changed.
        value: the parameter that was solved for, or None.
    """

    group: Group
    value: float | None = None

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The operations it replaces."""
        return self.group.edits if self.value is None else self.group.with_value(self.value)


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A set of changes and what remains of the error under it.

    Attributes:
        chosen: the changes, in the order in which they were found.
        error: relative L2 of the candidate against the changed reference.
        effect: relative L2 of the changed reference against the reference, of a single change.
    """

    chosen: tuple[Chosen, ...]
    error: float
    effect: float = math.nan

    @property
    def cost(self) -> float:
        """How far-fetched the changes are, together."""
        return sum(one.group.cost for one in self.chosen)

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All operations that are replaced."""
        return tuple(edit for one in self.chosen for edit in one.edits)

    @property
    def names(self) -> frozenset[tuple[str, str, str]]:
        """What it says."""
        return frozenset(one.group.key for one in self.chosen)


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
        started = time.monotonic()
        start = Trial((), self.segment.error)
        singles = found = self._alone(start) if alone is None else self._again(alone)
        now = time.monotonic()
        self.stop_at = now + max(self.limits.seconds, now - started)
        self.nearest = min(found, key=lambda t: t.error, default=None)
        states = [start]
        for depth in range(self.limits.depth):
            if depth:
                found = [trial for state in states for trial in self._extend(state)]
            else:
                self._keep_what_helps(found)
            if depth:
                found += [self._settled(trial) for trial in self._beam(found)]
            accepted = [t for t in found if holds(self.segment, t) and self._needs_all(t)]
            if accepted:
                accepted.sort(key=lambda t: (t.cost, t.error))
                return Found(accepted, self.nearest, singles)
            if not depth:
                hinted = self._hinted(start)
                if holds(self.segment, hinted) and self._needs_all(hinted):
                    return Found([hinted], self.nearest, singles)
                found = [*found, hinted]
            states = self._beam(found)
            if not states or time.monotonic() > self.stop_at:
                break
        return Found([], self.nearest, singles)

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
            if time.monotonic() > self.stop_at:
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

    def _beam(self, found: Sequence[Trial]) -> list[Trial]:
        """The best trials, at most two of which end in the same place."""
        kept: list[Trial] = []
        ends: dict[str, int] = {}
        for trial in sorted(found, key=lambda t: t.error):
            if not trial.chosen:
                continue
            place = trial.chosen[-1].group.first.site.kind
            if ends.get(place, 0) >= 2:
                continue
            ends[place] = ends.get(place, 0) + 1
            kept.append(trial)
            if len(kept) == self.limits.beam:
                break
        return kept


def holds(segment: Segment, trial: Trial) -> bool:
    """Whether a trial leaves no more than rounding, as far as it goes under its changes."""
    if trial.error <= segment.floor:
        return True
    near = trial.error <= _NEARLY * segment.floor and trial.error < _SMALL_PART * segment.error
    return near and trial.error <= segment.floor_with(trial.edits)


def alpha(segment: Segment, trial: Trial) -> tuple[float, float]:
    """How much of the proposed change the candidate shows: 1 for all of it, with standard error.

    With r the candidate minus the reference and d the changed reference minus the reference, it is
    `<r, d> / <d, d>`; the error is what the rest of r would make of it by chance.
    """
    try:
        changed = segment.run(trial.edits).double()
    except _FAILURES:
        return math.nan, math.nan
    ours, theirs = segment.ours.double(), segment.theirs.double()
    if not changed.shape == ours.shape == theirs.shape:
        return math.nan, math.nan
    r, d = (theirs - ours).flatten(), (changed - ours).flatten()
    power = float(d @ d)
    if not power > 0 or not bool(torch.isfinite(r).all()):
        return math.nan, math.nan
    slope = float(r @ d) / power
    rest = float((r - slope * d).norm()) / math.sqrt(max(r.numel() - 1, 1))
    return slope, rest / math.sqrt(power)


# How much larger or smaller the inputs are made to see two changes part.
_SCALES = (1.0, 0.1, 4.0, 30.0)


def tell_apart(segment: Segment, one: Trial, other: Trial) -> float | None:
    """How much larger the inputs have to be for two changes to differ; None if they never do.

    Changes that agree on all inputs are one change under two names.
    """
    for scale in _SCALES:
        try:
            a, b = segment.disturbed(one.edits, scale), segment.disturbed(other.edits, scale)
        except _FAILURES:
            continue
        if not relative_error(a, b)[0] <= 10 * segment.floor:
            return scale
    return None
