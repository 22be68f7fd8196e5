"""The comparison kernel in numpy: statistics of a run of segments of two flat arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from parity.metrics.dots import dot
from parity.metrics.elements import (
    difference,
    has_ulp,
    is_wide_integer,
    numbers,
    same_bits,
    ulp_distance,
)
from parity.metrics.exact import ExactSum
from parity.metrics.pair import NOWHERE, Bound, Count, PairStatistics, Sum

__all__ = ["compare_segments"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class _Segments:
    """Reductions of a flat array over consecutive stretches, none of them empty.

    Of a single stretch, numpy's whole-array reductions are several times faster.
    """

    starts: Array
    size: int

    def scaled(self, factor: int) -> _Segments:
        if factor == 1:
            return self
        return _Segments(self.starts * factor, self.size * factor)

    def add(self, terms: Array) -> Array:
        if len(self.starts) == 1:
            return np.array([terms.sum()])
        return np.add.reduceat(terms, self.starts)

    def count(self, flags: Array) -> Array:
        if len(self.starts) == 1:
            return np.array([np.count_nonzero(flags)])
        return np.add.reduceat(flags, self.starts, dtype=np.int64)

    def dot(self, left: Array, right: Array) -> Array:
        if len(self.starts) == 1:
            return np.array([dot(left, right)])
        return self.add(left * right)

    def low(self, values: Array) -> Array:
        if len(self.starts) == 1:
            return np.array([values.min()])
        return np.minimum.reduceat(values, self.starts)

    def high(self, values: Array) -> Array:
        if len(self.starts) == 1:
            return np.array([values.max()])
        return np.maximum.reduceat(values, self.starts)

    def spread(self, values: Array) -> Array:
        """One value a segment, as something that broadcasts against the elements."""
        if len(self.starts) == 1:
            return values
        return np.repeat(values, np.diff(self.starts, append=self.size))

    def first_where(self, flags: Array, positions: Array) -> Array:
        """The first position of a true flag in each segment, or `NOWHERE`."""
        place = np.arange(self.size) + self.spread(positions - self.starts)
        return self.low(np.where(flags, place, NOWHERE))


@np.errstate(all="ignore")  # infinities and NaN are what we look for
def compare_segments(
    reference: Array,
    candidate: Array,
    starts: Array,
    *,
    positions: Array,
    rtol: Array,
    atol: Array,
) -> PairStatistics:
    """Compare two flat arrays segment by segment.

    Args:
        reference: `(n,)`, of any numeric dtype.
        candidate: `(n,)`, of any numeric dtype.
        starts: int64 `(k,)`, strictly increasing from 0 and below n.
        positions: int64 `(k,)`: where each segment begins within its tensor.
        rtol: float64 `(k,)`: relative tolerance of `Count.MISMATCHED`.
        atol: float64 `(k,)`: absolute tolerance.

    Returns:
        Statistics of leading shape `(k,)`.
    """
    segments = _Segments(starts, reference.size)
    r, c = numbers(reference), numbers(candidate)
    d = difference(reference, candidate) if is_wide_integer(reference, candidate) else c - r
    counts = np.zeros((len(starts), len(Count)), np.int64)
    counts[:, Count.ELEMENTS] = counts[:, Count.COMPARED] = np.diff(starts, append=segments.size)
    counts[:, Count.IDENTICAL] = segments.count(same_bits(reference, candidate))
    ulp = ulp_distance(reference, candidate) if has_ulp(reference, candidate) else None
    first_nonfinite = np.full(len(starts), NOWHERE)
    finite = None
    if not np.isfinite(r.sum() + c.sum()):
        finite = np.isfinite(r) & np.isfinite(c)
        differs = _count_nonfinite(segments, r, c, counts)
        first_nonfinite = segments.first_where(differs, positions)
        r, c, d = (np.where(finite, values, 0) for values in (r, c, d))
        ulp = None if ulp is None else np.where(finite, ulp, 0.0)
    distance = np.abs(d)
    over = segments.count(distance > segments.spread(atol) + segments.spread(rtol) * np.abs(r))
    counts[:, Count.MISMATCHED] = over + counts[:, Count.NONFINITE_MISMATCHED]
    complex_parts = 2 if np.iscomplexobj(d) else 1
    counts[:, Count.TERMS] = counts[:, Count.COMPARED] * complex_parts
    compared = distance if finite is None else np.where(finite, distance, -np.inf)
    max_abs = segments.high(compared)
    lows, highs = _bounds(segments, r, c, finite)
    return PairStatistics(
        sums=ExactSum.of(_sums(segments, r, c, d, distance)),
        counts=counts,
        lows=lows,
        highs=highs,
        max_abs=max_abs,
        argmax=_first_largest(segments, compared, max_abs, positions),
        first_nonfinite=first_nonfinite,
        max_ulp=np.full(len(starts), np.nan) if ulp is None else segments.high(ulp),
    )


def _count_nonfinite(segments: _Segments, r: Array, c: Array, counts: Array) -> Array:
    """Fill the counts of what is not finite; where the sides disagree about it, bool `(n,)`."""
    finite = np.isfinite(r) & np.isfinite(c)
    agreed = ~finite & ((r == c) | (np.isnan(r) & np.isnan(c)))
    differs = ~finite & ~agreed
    counts[:, Count.COMPARED] = segments.count(finite)
    counts[:, Count.REFERENCE_NAN] = segments.count(np.isnan(r))
    counts[:, Count.REFERENCE_INF] = segments.count(np.isinf(r))
    counts[:, Count.CANDIDATE_NAN] = segments.count(np.isnan(c))
    counts[:, Count.CANDIDATE_INF] = segments.count(np.isinf(c))
    counts[:, Count.NONFINITE_AGREED] = segments.count(agreed)
    counts[:, Count.NONFINITE_MISMATCHED] = segments.count(differs)
    return np.asarray(differs)


def _first_largest(segments: _Segments, compared: Array, max_abs: Array, positions: Array) -> Array:
    if len(segments.starts) == 1:
        first = positions + np.argmax(compared)
    else:
        first = segments.first_where(compared == segments.spread(max_abs), positions)
    return np.where(max_abs == -np.inf, NOWHERE, first)


def _real(values: Array) -> Array:
    return values.view(np.float64) if np.iscomplexobj(values) else values


def _sums(segments: _Segments, r: Array, c: Array, d: Array, distance: Array) -> Array:
    """Float64 `(k, 9)`, columns as in `Sum`."""
    sums = np.empty((len(segments.starts), len(Sum)))
    sums[:, Sum.ABS_D] = segments.add(distance)
    if np.iscomplexobj(d):
        segments = segments.scaled(2)
        r, c = (values.astype(np.complex128) for values in (r, c))
    r, c, d = _real(r), _real(c), _real(d)
    sums[:, Sum.R] = segments.add(r)
    sums[:, Sum.C] = segments.add(c)
    sums[:, Sum.D] = segments.add(d)
    sums[:, Sum.RR] = segments.dot(r, r)
    sums[:, Sum.CC] = segments.dot(c, c)
    sums[:, Sum.RC] = segments.dot(r, c)
    sums[:, Sum.DD] = segments.dot(d, d)
    sums[:, Sum.D_TIMES_R_PLUS_C] = segments.dot(d, r + c)
    return sums


def _bounds(segments: _Segments, r: Array, c: Array, finite: Array | None) -> tuple[Array, Array]:
    """Smallest and largest values, float64 `(k, 2)` each, columns as in `Bound`."""
    lows = np.empty((len(segments.starts), len(Bound)))
    highs = np.empty_like(lows)
    for bound, values in ((Bound.REFERENCE, r), (Bound.CANDIDATE, c)):
        parts = 2 if np.iscomplexobj(values) else 1
        real, where = _real(values), None if finite is None else np.repeat(finite, parts)
        low = real if where is None else np.where(where, real, np.inf)
        high = real if where is None else np.where(where, real, -np.inf)
        lows[:, bound] = segments.scaled(parts).low(low)
        highs[:, bound] = segments.scaled(parts).high(high)
    # Adding zero turns -0.0 into 0.0: which of them a minimum returns depends on the order.
    return lows + 0.0, highs + 0.0
