"""The best order-preserving matching of two sequences, and how much better it is than the next."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["best_path", "longest_rise", "through"]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
TIE = 1e-9


def _forward(score: FloatArray) -> FloatArray:
    """The best total of each pair of prefixes.

    Needleman and Wunsch's recurrence (J. Mol. Biol. 48, 1970) without a cost for gaps, so that a
    row is a running maximum.
    """
    rows, columns = score.shape
    best = np.zeros((rows + 1, columns + 1))
    for row in range(rows):
        here = np.maximum(best[row, 1:], best[row, :-1] + score[row])
        best[row + 1, 1:] = np.maximum.accumulate(here)
    return best


def through(score: FloatArray) -> FloatArray:
    """For each pair, the total of the best order-preserving matching that contains it.

    Args:
        score: float64[n, m], what each pair is worth; -inf where it cannot be.

    Returns:
        float64[n, m]; its maximum is the total of the best matching, 0 for an empty one.
    """
    before = _forward(score)
    after = _forward(score[::-1, ::-1])[::-1, ::-1]
    total: FloatArray = before[:-1, :-1] + score + after[1:, 1:]
    return total


def best_path(score: FloatArray) -> list[tuple[int, int]]:
    """The pairs of the best order-preserving matching; of equal ones, the earliest pairs.

    Args:
        score: as for `through`.
    """
    best = _forward(score)
    row, column = score.shape
    pairs = []
    while row and column:
        here = best[row, column] - TIE
        if best[row - 1, column] >= here:
            row -= 1
        elif best[row, column - 1] >= here:
            column -= 1
        else:
            row, column = row - 1, column - 1
            pairs.append((row, column))
    return pairs[::-1]


def longest_rise(values: list[int]) -> list[int]:
    """The places of a longest ascending subsequence."""
    tops: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for place, value in enumerate(values):
        at = int(np.searchsorted(tops, value)) if tops else 0
        tops[at : at + 1] = [value]
        ends[at : at + 1] = [place]
        previous.append(ends[at - 1] if at else -1)
    found = []
    place = ends[-1] if ends else -1
    while place >= 0:
        found.append(place)
        place = previous[place]
    return found[::-1]
