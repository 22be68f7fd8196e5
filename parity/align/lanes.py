"""Taps that run several times a pass: their calls taken apart, by their place in the pass.

One rotary embedding that six layers share runs six times a step. Token by token, its calls come
layer by layer within each token; in one pass, each layer's call holds all tokens. Laid end to end
they would not meet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from parity.align.series import Series, Side

__all__ = ["by_place_in_pass"]

Both = tuple[Series, Series]
Kind = tuple[str, int, int]
IntArray = np.ndarray[Any, np.dtype[np.int64]]


def by_place_in_pass(reference: Side, candidate: Side, uneven: Sequence[Both]) -> list[Both]:
    """The same series, those that run k times a pass taken apart into k.

    How many passes there are is told by the taps of the same phase that run once in each: those
    whose numbers of calls divide, on both sides, by the same k.

    Args:
        reference: where the reference series' records are.
        candidate: where the candidate series' are.
        uneven: series that run on both sides, but not equally often.
    """
    example: dict[Kind, Both] = {}
    for both in uneven:
        example.setdefault(_kind(both), both)
    clocks = _clocks([_kind(both) for both in uneven])
    found: list[Both] = []
    for both in uneven:
        clock, times = clocks[_kind(both)]
        if times > 1 and _in_step(reference, candidate, both, example[clock], times):
            found += [
                (_lane(both[0], lane, times), _lane(both[1], lane, times)) for lane in range(times)
            ]
        else:
            found.append(both)
    return found


def _kind(both: Both) -> Kind:
    return both[0].name.phase, len(both[0]), len(both[1])


def _clocks(kinds: Sequence[Kind]) -> dict[Kind, tuple[Kind, int]]:
    """For each kind of tap the commonest one that can tell its passes, and its calls in each."""
    common = [kind for kind, _ in Counter(kinds).most_common()]
    clocks = {}
    for kind in common:
        times = [(other, _times(kind[1:], other[1:])) for other in common if other[0] == kind[0]]
        clocks[kind] = next((found for found in times if found[1] > 1), (kind, 1))
    return clocks


def _times(counts: tuple[int, int], passes: tuple[int, int]) -> int:
    """How often a tap runs in a pass if that is the same on both sides, else 0."""
    (times, rest), (others, rests) = (divmod(n, m) for n, m in zip(counts, passes, strict=True))
    return times if times == others and not rest + rests else 0


def _in_step(reference: Side, candidate: Side, both: Both, clock: Both, times: int) -> bool:
    """Whether the tap runs that often between any two calls of one that runs once in a pass."""
    for side, series, ticks in zip((reference, candidate), both, clock, strict=True):
        places = np.searchsorted(_orders(side, ticks), _orders(side, series))
        counts = np.bincount(places, minlength=len(ticks) + 1)
        if (counts[1:-1] != times).any() or counts[0] + counts[-1] != times:
            return False
    return True


def _orders(side: Side, series: Series) -> IntArray:
    return np.array([side.records[p].order for p in series.positions], dtype=np.int64)


def _lane(series: Series, lane: int, times: int) -> Series:
    positions = series.positions[lane::times]
    return Series(
        series.name,
        positions,
        tuple(range(len(positions))),
        series.shapes[lane::times],
        series.permutation,
    )
