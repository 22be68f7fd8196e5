"""How alike taps of different names are, in shape and in content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity.align.content import distance, pooled
from parity.align.join import join, overlap
from parity.align.series import Series, Side
from parity.align.shift import possible_shifts
from parity.align.structure import Elementwise, elementwise
from parity.tensors import Role

__all__ = ["Item", "Likeness", "items_of"]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

# What an explanation of the shapes is worth; what needs more explaining is worth less. Below all
# of them lies what content can add, so that a port that computes wrong values is still matched.
SAME, SHIFTED, PERMUTED, JOINED, MERGED, PARTIAL = 1.0, 0.8, 0.7, 0.7, 0.5, 0.4

# Fingerprints a tenth apart say nothing (two normalised tensors are as near by chance), those
# 1e-5 apart, which is more than float32's rounding, all there is to say.
FAR, NEAR = 1e-1, 1e-5
ROWS = 256

# A dump that knows no roles calls everything a tap, and dumps what modules put out.
FITTING_ROLES = {Role.TAP: (Role.TAP, Role.OUTPUT, Role.STATE)}


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A tap to be matched.

    Attributes:
        series: its calls.
        first: place of its first call in execution order.
        fingerprint: float64[5], of all its calls together.
        digest: of all its calls; empty where the capture has none.
    """

    series: Series
    first: int
    fingerprint: FloatArray
    digest: tuple[str, ...]

    def same_content(self, other: Item) -> bool:
        """Whether both hold the same values, so that it does not matter which is meant."""
        if self.series.shapes != other.series.shapes:
            return False
        if self.digest and other.digest:
            return self.digest == other.digest
        return bool(np.array_equal(self.fingerprint, other.fingerprint))


def items_of(side: Side, series: Sequence[Series]) -> list[Item]:
    """The taps of a side, in execution order."""
    items = []
    for one in series:
        records = [side.records[p] for p in one.positions]
        digest = tuple(record.digest for record in records)
        items.append(
            Item(
                one,
                min(record.order for record in records),
                pooled(records),
                digest if all(digest) else (),
            )
        )
    return sorted(items, key=lambda item: item.first)


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """How alike each pair of taps is.

    Attributes:
        shape: float64[n, m], what the explanation of the shapes is worth; -inf where there is none.
        apart: float64[n, m], distance of the fingerprints; 1 where one is unknown.
        content: float64[n, m], what that is worth: 0 for unlike or unknown, 1 for the same.
    """

    shape: FloatArray
    apart: FloatArray
    content: FloatArray

    @classmethod
    def of(cls, reference: Sequence[Item], candidate: Sequence[Item]) -> Likeness:
        """Compare every tap of the reference with every tap of the candidate."""
        apart = _apart(reference, candidate)
        near = np.log10(FAR / np.maximum(apart, NEAR)) / np.log10(FAR / NEAR)
        return cls(_shape_worth(reference, candidate), apart, np.maximum(near, 0.0))

    @property
    def score(self) -> FloatArray:
        """Both together: float64[n, m], -inf where the shapes exclude a pair."""
        return self.shape + self.content


def _apart(reference: Sequence[Item], candidate: Sequence[Item]) -> FloatArray:
    ours = np.array([item.fingerprint for item in reference])
    theirs = np.array([item.fingerprint for item in candidate])
    # In bands: two thousand taps a side would need a hundred megabytes at once.
    bands = [
        distance(ours[row : row + ROWS, None], theirs[None]) for row in range(0, len(ours), ROWS)
    ]
    return np.concatenate(bands)


def _shape_worth(reference: Sequence[Item], candidate: Sequence[Item]) -> FloatArray:
    """Each kind of shapes is compared once with each kind of the other side."""
    worth = np.full((len(reference), len(candidate)), -np.inf)
    ours, theirs = _by_kind(reference), _by_kind(candidate)
    for (role, phase, _), rows in ours.items():
        for (other_role, other_phase, _), columns in theirs.items():
            if phase == other_phase and role in FITTING_ROLES.get(other_role, (other_role,)):
                value = _worth(reference[rows[0]].series, candidate[columns[0]].series)
                worth[np.ix_(rows, columns)] = value
    return worth


def _by_kind(items: Sequence[Item]) -> dict[tuple[Role, str, object], list[int]]:
    kinds: dict[tuple[Role, str, object], list[int]] = {}
    for index, item in enumerate(items):
        series = item.series
        key = (series.name.role, series.name.phase, (series.shapes, series.permutation))
        kinds.setdefault(key, []).append(index)
    return kinds


def _worth(reference: Series, candidate: Series) -> float:
    permuted = not candidate.permutation
    if len(reference) == len(candidate):
        ways = elementwise(reference.shapes, candidate.shapes, permuted=permuted)
        if ways:
            return _way_worth(ways[0])
    for way in (join, overlap):
        if way(reference.shapes, candidate.shapes, permuted=permuted):
            return JOINED
    if len(reference) != len(candidate) and possible_shifts(reference, candidate):
        return SHIFTED
    if join(reference.shapes, candidate.shapes, permuted=permuted, partial=True):
        return PARTIAL
    return -float("inf")


def _way_worth(way: Elementwise) -> float:
    if way.merged:
        return MERGED
    return PERMUTED if way.permutation else SAME
