"""What is kept of a comparison of two tensors: enough for every metric, and mergeable."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from parity.metrics.exact import ExactSum

__all__ = ["NOWHERE", "Bound", "Count", "PairStatistics", "Sum"]

Array = np.ndarray[Any, np.dtype[Any]]

NOWHERE = np.iinfo(np.int64).max  # as a position: merging takes the smallest


class Sum(IntEnum):
    """Columns of `PairStatistics.sums`; r is the reference, c the candidate, d = c - r.

    Sums run over the positions that are finite on both sides. Complex numbers count as their
    real and imaginary parts, except in `ABS_D`, which adds moduli.
    """

    R = 0
    C = 1
    RR = 2
    CC = 3
    RC = 4
    D = 5
    DD = 6
    ABS_D = 7
    D_TIMES_R_PLUS_C = 8


class Count(IntEnum):
    """Columns of `PairStatistics.counts`."""

    ELEMENTS = 0
    COMPARED = 1  # finite on both sides
    TERMS = 2  # real numbers in each sum: COMPARED, or twice that for complex tensors
    IDENTICAL = 3  # same bits (0.0 and -0.0 differ), or same numbers where dtypes differ
    MISMATCHED = 4  # not |d| <= atol + rtol |r|, non-finite mismatches included
    REFERENCE_NAN = 5
    REFERENCE_INF = 6
    CANDIDATE_NAN = 7
    CANDIDATE_INF = 8
    NONFINITE_AGREED = 9  # NaN on both sides, or the same infinity
    NONFINITE_MISMATCHED = 10


class Bound(IntEnum):
    """Columns of `PairStatistics.lows` and `.highs`, over `Count.COMPARED` positions.

    Of complex tensors: over the real and imaginary parts together.
    """

    REFERENCE = 0
    CANDIDATE = 1


@dataclass(frozen=True, slots=True, eq=False)
class PairStatistics:
    """Statistics of n comparisons, of any leading shape; `()` for a single one.

    A commutative monoid: `a + b` describes the two parts together, `zero()` is neutral, and
    every order of merging gives the same bits. Parts know their place through the `offset` that
    they were computed with. Make one with `pair_statistics`, read it with `metrics`.

    Attributes:
        sums: exact sums `(..., 9)`, columns as in `Sum`.
        counts: int64 `(..., 11)`, columns as in `Count`.
        lows: float64 `(..., 2)`: smallest reference and candidate value; inf where there is none.
        highs: float64 `(..., 2)`: the largest ones; -inf where there is none.
        max_abs: float64 `(...)`: largest |d|; -inf where nothing was compared.
        argmax: int64 `(...)`: first flat position of `max_abs`; `NOWHERE` for none.
        first_nonfinite: int64 `(...)`: first flat position where one side is not finite and the
            other is not the same; `NOWHERE` for none.
        max_ulp: float64 `(...)`: largest distance in units of the last place of the common dtype,
            -0.0 being 0.0; NaN where the dtypes differ or are not floats.
    """

    sums: ExactSum
    counts: Array
    lows: Array
    highs: Array
    max_abs: Array
    argmax: Array
    first_nonfinite: Array
    max_ulp: Array

    @classmethod
    def zero(cls, shape: tuple[int, ...] = ()) -> PairStatistics:
        """The statistics of nothing, of the given leading shape."""
        return cls(
            sums=ExactSum.zero((*shape, len(Sum))),
            counts=np.zeros((*shape, len(Count)), np.int64),
            lows=np.full((*shape, len(Bound)), np.inf),
            highs=np.full((*shape, len(Bound)), -np.inf),
            max_abs=np.full(shape, -np.inf),
            argmax=np.full(shape, NOWHERE),
            first_nonfinite=np.full(shape, NOWHERE),
            max_ulp=np.zeros(shape),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """The leading shape."""
        return tuple(self.max_abs.shape)

    def __len__(self) -> int:
        return len(self.max_abs)

    def __getitem__(self, index: Any) -> PairStatistics:
        """Some of the comparisons; `index` applies to the leading shape."""
        return PairStatistics(
            self.sums[index], *(np.asarray(column[index]) for column in self._columns())
        )

    def __add__(self, other: PairStatistics) -> PairStatistics:
        max_abs = np.maximum(self.max_abs, other.max_abs)
        return PairStatistics(
            sums=self.sums + other.sums,
            counts=self.counts + other.counts,
            lows=np.minimum(self.lows, other.lows),
            highs=np.maximum(self.highs, other.highs),
            max_abs=max_abs,
            argmax=np.minimum(_where_it_is(self, max_abs), _where_it_is(other, max_abs)),
            first_nonfinite=np.minimum(self.first_nonfinite, other.first_nonfinite),
            max_ulp=np.maximum(self.max_ulp, other.max_ulp),
        )

    def total(self, axis: int = 0) -> PairStatistics:
        """All comparisons along one leading axis as one.

        Of several tensors, `argmax` is a position within the one that it was found in.
        """
        axis = range(len(self.shape))[axis]
        if self.shape[axis] == 0:
            return PairStatistics.zero(self.shape[:axis] + self.shape[axis + 1 :])
        max_abs = self.max_abs.max(axis=axis, keepdims=True)
        return PairStatistics(
            sums=self.sums.total(axis),
            counts=self.counts.sum(axis=axis),
            lows=self.lows.min(axis=axis),
            highs=self.highs.max(axis=axis),
            max_abs=max_abs.squeeze(axis),
            argmax=_where_it_is(self, max_abs).min(axis=axis),
            first_nonfinite=self.first_nonfinite.min(axis=axis),
            max_ulp=self.max_ulp.max(axis=axis),
        )

    def segments(self, starts: Array) -> PairStatistics:
        """Merge `[starts[i], starts[i + 1])` of a one-dimensional leading shape, for each i.

        Args:
            starts: int64 `(k,)`, strictly increasing from 0, below the length.
        """
        if len(starts) == len(self):
            return self
        max_abs = np.maximum.reduceat(self.max_abs, starts)
        spread = np.repeat(max_abs, np.diff(starts, append=len(self)))
        return PairStatistics(
            sums=self.sums.segments(starts),
            counts=np.add.reduceat(self.counts, starts, axis=0),
            lows=np.minimum.reduceat(self.lows, starts, axis=0),
            highs=np.maximum.reduceat(self.highs, starts, axis=0),
            max_abs=max_abs,
            argmax=np.minimum.reduceat(_where_it_is(self, spread), starts),
            first_nonfinite=np.minimum.reduceat(self.first_nonfinite, starts),
            max_ulp=np.maximum.reduceat(self.max_ulp, starts),
        )

    @staticmethod
    def concatenate(parts: list[PairStatistics]) -> PairStatistics:
        """The comparisons of all parts, one after another, unmerged; leading shapes `(n,)`."""
        columns = zip(*(part._columns() for part in parts), strict=True)
        top = np.concatenate([part.sums.top for part in parts])
        digits = np.concatenate([part.sums.digits for part in parts])
        return PairStatistics(ExactSum(top, digits), *(np.concatenate(c) for c in columns))

    def with_sums(self, sums: ExactSum) -> PairStatistics:
        """The same with other sums, of the same shape."""
        return PairStatistics(sums, *self._columns())

    def with_rows(self, chosen: Array, rows: PairStatistics) -> PairStatistics:
        """The same with `rows` where `chosen`, bool `(n,)`, is true; leading shape `(n,)`."""
        places = np.where(chosen, np.cumsum(chosen) - 1, len(rows) + np.arange(len(self)))
        return PairStatistics.concatenate([rows, self])[places]

    def count(self, column: Count) -> Array:
        """One column of `counts`, int64 `(...)`."""
        return self.counts[..., column]

    def _columns(self) -> tuple[Array, ...]:
        return (
            self.counts,
            self.lows,
            self.highs,
            self.max_abs,
            self.argmax,
            self.first_nonfinite,
            self.max_ulp,
        )


def _where_it_is(part: PairStatistics, max_abs: Array) -> Array:
    return np.where(part.max_abs == max_abs, part.argmax, NOWHERE)
