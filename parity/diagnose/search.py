"""Finds which hypotheses, one or several together, turn the reference into the candidate at a tap."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from parity.diagnose.groups import Group
from parity.diagnose.solve import solve_for
from parity.localize.execute import Edit
from parity.localize.replay import relative_error
from parity.localize.segment import Segment

__all__ = ["Chosen", "Limits", "Trial", "alpha", "search", "tell_apart"]

_FAILURES = (RuntimeError, IndexError, ValueError, TypeError, KeyError, AttributeError)


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a search goes.

    Attributes:
        depth: most changes that are tried together.
        beam: how many sets of changes are followed from one depth to the next.
        seconds: wall time of one search.
    """

    depth: int = 4
    beam: int = 6
    seconds: float = 15.0


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
    """

    chosen: tuple[Chosen, ...]
    error: float

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


def search(
    segment: Segment, groups: Sequence[Group], limits: Limits | None = None
) -> tuple[list[Trial], Trial | None]:
    """Trials that explain a tap down to its noise floor, fewest changes first.

    Args:
        segment: the tap.
        groups: what may be changed.
        limits: how far to go.

    Returns:
        All trials of the least number of changes that explain the tap, the most likely first; and
        the best that does not explain it, for a report of what is nearest.
    """
    return _Search(segment, groups, limits or Limits()).go()


class _Search:
    def __init__(self, segment: Segment, groups: Sequence[Group], limits: Limits) -> None:
        self.segment = segment
        self.groups = groups
        self.limits = limits
        self.stop_at = time.monotonic() + limits.seconds
        self.nearest: Trial | None = None
        self._seen: set[frozenset[tuple[str, str, str]]] = set()
        self._active: list[Group] = list(groups)

    def go(self) -> tuple[list[Trial], Trial | None]:
        states = [Trial((), self.segment.error)]
        for depth in range(self.limits.depth):
            found = [trial for state in states for trial in self._extend(state)]
            if depth == 0:
                self._keep_what_acts(found)
            accepted = [
                t for t in found if t.error <= self.segment.floor and self._needs_all(t)
            ]
            if accepted:
                return sorted(accepted, key=lambda t: (t.cost, t.error)), self.nearest
            states = self._beam(found)
            if not states or time.monotonic() > self.stop_at:
                break
        return [], self.nearest

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

    def _extend(self, state: Trial) -> Iterable[Trial]:
        for group in self._active:
            if time.monotonic() > self.stop_at:
                return
            names = state.names | {group.key}
            if names in self._seen or group.key in state.names:
                continue
            self._seen.add(names)
            trial = self._try(state, group)
            if trial is None:
                continue
            # Of several changes that do not explain it each says little: the nearest is one.
            if not state.chosen and (self.nearest is None or trial.error < self.nearest.error):
                self.nearest = trial
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

    def _keep_what_acts(self, found: Sequence[Trial]) -> None:
        """Changes that make no difference alone are not tried with others."""
        before = self.segment.error
        acts = {id(t.chosen[0].group) for t in found if abs(t.error - before) > 1e-9 * before}
        self._active = [group for group in self.groups if id(group) in acts]

    def _beam(self, found: Sequence[Trial]) -> list[Trial]:
        """The best trials, at most two of which end in the same place."""
        kept: list[Trial] = []
        ends: dict[str, int] = {}
        for trial in sorted(found, key=lambda t: t.error):
            place = trial.chosen[-1].group.first.site.kind
            if ends.get(place, 0) >= 2:
                continue
            ends[place] = ends.get(place, 0) + 1
            kept.append(trial)
            if len(kept) == self.limits.beam:
                break
        return kept


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
