"""A set of changes held against a tap: what it leaves, how much of it shows, what differs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from parity.diagnose.groups import Group
from parity.localize.execute import Edit
from parity.localize.local_errors import as_doubles, relative_error
from parity.localize.segment import Segment

__all__ = ["Chosen", "Trial", "alpha", "holds", "tell_apart"]

# Where a change makes rounding larger: how much more than the reference's is worth a look.
_NEARLY = 30.0
_SMALL_PART = 1e-3
_FAILURES = (RuntimeError, IndexError, ValueError, TypeError, KeyError, AttributeError)


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
        changed = as_doubles(segment.run(trial.edits))
    except _FAILURES:
        return math.nan, math.nan
    ours, theirs = as_doubles(segment.ours), as_doubles(segment.theirs)
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
