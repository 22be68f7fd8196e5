"""A constant offset between the call numbers of both sides: from shapes, else from values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from parity.align.content import distance, fingerprint
from parity.align.series import Series, Side
from parity.align.structure import elementwise

__all__ = ["common_calls", "possible_shifts", "shift_by_values", "shifted_calls"]

Array = np.ndarray[Any, np.dtype[Any]]
Both = tuple[Series, Series]

# How far beyond the difference in number a shift is looked for, and how many calls and series are
# looked at: enough for a warm-up call or two prompt passes, little enough to cost nothing.
REACH = 2
FARTHEST = 16
CALLS = 24
SERIES = 16

# Values decide where they agree to 5 % and five times better than without the shift; unrelated
# tensors of one kind lie about 0.3 apart.
CLOSE = 0.05
BETTER = 5.0
# Without a difference in number, one tap that lags is a fault; only all taps together are a shift.
UNANIMITY = 0.9


def common_calls(reference: Series, candidate: Series) -> list[tuple[int, int]]:
    """The places of calls with equal numbers; by place where no numbers are equal."""
    places = {call: place for place, call in enumerate(candidate.calls)}
    found = [(i, places[call]) for i, call in enumerate(reference.calls) if call in places]
    return found or [(i, i) for i in range(min(len(reference), len(candidate)))]


def shifted_calls(reference: Series, candidate: Series, shift: int) -> list[tuple[int, int]]:
    """Call `i` of the reference beside call `i + shift` of the candidate, where both exist."""
    first, stop = max(0, -shift), min(len(reference), len(candidate) - shift)
    return [(i, i + shift) for i in range(first, stop)]


def possible_shifts(reference: Series, candidate: Series) -> tuple[int, ...]:
    """The shifts under which the shapes fit; those that leave out the fewest calls first.

    Then those nearest to no shift. At most two calls of the shorter side may lie outside, and where
    calls with equal numbers do not all fit, a shift must make more calls fit than they do.
    """
    surplus = len(candidate) - len(reference)
    reach = range(min(0, surplus) - REACH, max(0, surplus) + REACH + 1)
    near = sorted(reach, key=abs)[:FARTHEST]
    fitting = [k for k in near if _fits(reference, candidate, k)]
    if 0 not in fitting:
        unshifted = _fitting_calls(reference, candidate)
        fitting = [
            k
            for k in fitting
            if _overlap(reference, candidate, k) > unshifted and -k not in fitting
        ]
    return tuple(sorted(fitting, key=lambda k: (-_overlap(reference, candidate, k), abs(k), k)))


def _overlap(reference: Series, candidate: Series, shift: int) -> int:
    return min(len(reference), len(candidate) - shift) - max(0, -shift)


def _fits(reference: Series, candidate: Series, shift: int) -> bool:
    overlap = _overlap(reference, candidate, shift)
    shorter = min(len(reference), len(candidate))
    if overlap < shorter - REACH or 2 * overlap <= shorter:
        return False
    first = max(0, -shift)
    ours = reference.shapes[first : first + overlap]
    theirs = candidate.shapes[first + shift : first + shift + overlap]
    return bool(elementwise(ours, theirs, permuted=not candidate.permutation))


def _fitting_calls(reference: Series, candidate: Series) -> int:
    both = zip(reference.shapes, candidate.shapes, strict=False)
    return sum(bool(elementwise((ours,), (theirs,))) for ours, theirs in both)


def shift_by_values(
    reference: Side, candidate: Side, both: Sequence[Both], shifts: Sequence[int]
) -> int | None:
    """The shift under which the values agree, where they say so clearly; else None.

    Args:
        reference: where the reference series' records are.
        candidate: where the candidate series' are.
        both: series on both sides that share one shift.
        shifts: the choices; the first is what is taken without evidence.
    """
    sampled = both[:: -(-len(both) // SERIES)]
    apart = np.array([_apart(reference, candidate, pair, shifts) for pair in sampled])
    typical = np.median(apart, axis=0)
    best = int(np.argmin(typical))
    if best == 0 or not typical[best] < CLOSE or not typical[best] * BETTER < typical[0]:
        return None
    if len(both[0][0]) == len(both[0][1]):
        agree = apart[:, best] * BETTER < apart[:, 0]
        if len({pair[0].name.path for pair in sampled}) < 2 or agree.mean() < UNANIMITY:
            return None
    return shifts[best]


def _apart(reference: Side, candidate: Side, both: Both, shifts: Sequence[int]) -> list[float]:
    """Median distance of the calls that stand beside each other, for each shift."""
    ours, theirs = (
        np.array([fingerprint(side.records[p]) for p in series.positions[: CALLS + FARTHEST]])
        for side, series in zip((reference, candidate), both, strict=True)
    )
    medians = []
    for shift in shifts:
        first = max(0, -shift)
        count = min(len(ours) - first, len(theirs) - first - shift, CALLS)
        gaps = distance(ours[first : first + count], theirs[first + shift :][:count])
        medians.append(float(np.median(gaps)) if count > 0 else 1.0)
    return medians
