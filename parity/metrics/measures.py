"""The metrics that follow from pair statistics, for one pair or for thousands at once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from parity.metrics.pair import NOWHERE, Bound, Count, PairStatistics, Sum

__all__ = ["Metrics", "metrics"]

Array = np.ndarray[Any, np.dtype[Any]]

LEAST_SQUARE = 1e-280  # float64 ends at 5e-324; a sum of squares above this has all its digits


@dataclass(frozen=True, slots=True, eq=False)
class Metrics:
    """How far a candidate c is from its reference r; d = c - r. Arrays of one shape `(...)`.

    Distances and similarities are NaN, and so fail every check, where nothing was compared and
    where one side is not finite and the other is not the same (see `nonfinite_mismatch`).

    Attributes:
        count: elements of each side.
        compared: positions that are finite on both sides.
        cosine: `r.c / (|r| |c|)`; NaN when a norm is zero.
        one_minus_cosine: the same distance from 1, without cancellation near it as long as the
            norms are nearly equal; with norms a factor apart, float64's 1e-16 bounds it.
        pearson: cosine after subtracting the means; NaN when a side is constant.
        one_minus_pearson: the same distance from 1, without cancellation near it.
        rmse: `sqrt(mean(|d|**2))`.
        max_abs: `max(|d|)`.
        mean_abs: `mean(|d|)`.
        rel_l2: `|d| / |r|` in the Euclidean norm; 0 for equal zeros, inf for a zero reference. An
            upper bound of it where all |d| are so small that their squares vanish.
        rel_linf: `max(|d|) / max(|r|)`, likewise; of complex r the largest part, not modulus.
        snr_db: `20 log10(|r| / |d|)`; inf when there is no error, -inf for a zero reference.
        max_ulp: largest distance in units of the last place; NaN unless both are one float dtype.
        mismatch_share: share of elements without `|d| <= atol + rtol |r|`.
        argmax: flat position of `max_abs`, the first one; -1 where nothing was compared.
        first_nonfinite: flat position of the first non-finite mismatch, or -1.
        reference_norm: `|r|`, Euclidean.
        candidate_norm: `|c|`.
        reference_min, reference_max, candidate_min, candidate_max: over compared positions.
        reference_nan, reference_inf, candidate_nan, candidate_inf: counts.
        nonfinite_agreed: positions with NaN on both sides or the same infinity.
        nonfinite_mismatch: positions where one side is not finite and the other not the same.
        bit_identical: every element has the same bits on both sides.
        reference_constant: the reference holds one value only, or none.
        candidate_constant: the candidate holds one value only, or none.
    """

    count: Array
    compared: Array
    cosine: Array
    one_minus_cosine: Array
    pearson: Array
    one_minus_pearson: Array
    rmse: Array
    max_abs: Array
    mean_abs: Array
    rel_l2: Array
    rel_linf: Array
    snr_db: Array
    max_ulp: Array
    mismatch_share: Array
    argmax: Array
    first_nonfinite: Array
    reference_norm: Array
    candidate_norm: Array
    reference_min: Array
    reference_max: Array
    candidate_min: Array
    candidate_max: Array
    reference_nan: Array
    reference_inf: Array
    candidate_nan: Array
    candidate_inf: Array
    nonfinite_agreed: Array
    nonfinite_mismatch: Array
    bit_identical: Array
    reference_constant: Array
    candidate_constant: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of every attribute."""
        return tuple(self.count.shape)

    def __getitem__(self, index: Any) -> Metrics:
        """The metrics of some of the pairs."""
        return Metrics(*(np.asarray(getattr(self, f.name)[index]) for f in fields(self)))

    def as_dict(self) -> dict[str, Any]:
        """Plain Python values by name: numbers for one pair, (nested) lists for several."""
        return {f.name: getattr(self, f.name).tolist() for f in fields(self)}


def metrics(statistics: PairStatistics, *, finite_only: bool = False) -> Metrics:
    """The metrics of every pair.

    The distances from 1 use `|r||c| - r.c = (|d|**2 - (|c| - |r|)**2) / 2` with
    `|c| - |r| = d.(r + c) / (|r| + |c|)`, whose terms are as small as the difference is.

    Args:
        statistics: of leading shape `(...)`.
        finite_only: measure the finite positions also of pairs with non-finite mismatches.

    Returns:
        Arrays of shape `(...)`.
    """
    with np.errstate(all="ignore"):  # 0/0 is NaN here by intention
        return _metrics(statistics, finite_only)


def _metrics(stats: PairStatistics, finite_only: bool) -> Metrics:
    sums = stats.sums.value()
    count, compared = stats.count(Count.ELEMENTS), stats.count(Count.COMPARED)
    broken = stats.count(Count.NONFINITE_MISMATCHED) > 0
    usable = (compared > 0) & (finite_only | ~broken)

    def masked(values: Array) -> Array:
        return np.where(usable, values, np.nan)

    rr, cc, dd = sums[..., Sum.RR], sums[..., Sum.CC], sums[..., Sum.DD]
    raw = _angle(rr, cc, sums[..., Sum.RC], dd, sums[..., Sum.D_TIMES_R_PLUS_C])
    centred = _angle(*_centred(sums, stats.count(Count.TERMS)))
    constant = stats.lows >= stats.highs
    any_constant = constant.any(axis=-1)
    peak = np.maximum(np.abs(stats.lows), np.abs(stats.highs))[..., Bound.REFERENCE]
    rel_linf = _ratio(stats.max_abs, peak)
    # The squares of what is below 1e-162 are zero: |d| is at most sqrt(n) max(|d|), and
    # |r| at least max(|r|).
    lost = (dd < LEAST_SQUARE) & (stats.max_abs > 0)
    terms = stats.count(Count.TERMS)
    rel_l2 = np.where(lost, np.sqrt(terms) * rel_linf, np.sqrt(_ratio(dd, rr)))
    return Metrics(
        count=count,
        compared=compared,
        cosine=masked(1.0 - raw),
        one_minus_cosine=masked(raw),
        pearson=masked(np.where(any_constant, np.nan, 1.0 - centred)),
        one_minus_pearson=masked(np.where(any_constant, np.nan, centred)),
        rmse=masked(np.sqrt(dd / compared)),
        max_abs=masked(stats.max_abs),
        mean_abs=masked(sums[..., Sum.ABS_D] / compared),
        rel_l2=masked(rel_l2),
        rel_linf=masked(rel_linf),
        snr_db=masked(-20.0 * np.log10(rel_l2)),
        max_ulp=masked(stats.max_ulp),
        mismatch_share=stats.count(Count.MISMATCHED) / count,
        argmax=np.where(stats.argmax == NOWHERE, -1, stats.argmax),
        first_nonfinite=np.where(stats.first_nonfinite == NOWHERE, -1, stats.first_nonfinite),
        reference_norm=masked(np.sqrt(rr)),
        candidate_norm=masked(np.sqrt(cc)),
        reference_min=_held(stats.lows[..., Bound.REFERENCE]),
        reference_max=_held(stats.highs[..., Bound.REFERENCE]),
        candidate_min=_held(stats.lows[..., Bound.CANDIDATE]),
        candidate_max=_held(stats.highs[..., Bound.CANDIDATE]),
        reference_nan=stats.count(Count.REFERENCE_NAN),
        reference_inf=stats.count(Count.REFERENCE_INF),
        candidate_nan=stats.count(Count.CANDIDATE_NAN),
        candidate_inf=stats.count(Count.CANDIDATE_INF),
        nonfinite_agreed=stats.count(Count.NONFINITE_AGREED),
        nonfinite_mismatch=stats.count(Count.NONFINITE_MISMATCHED),
        bit_identical=stats.count(Count.IDENTICAL) == count,
        reference_constant=constant[..., Bound.REFERENCE],
        candidate_constant=constant[..., Bound.CANDIDATE],
    )


def _angle(rr: Array, cc: Array, rc: Array, dd: Array, ds: Array) -> Array:
    """One minus the cosine, from the squares, the product, |d|**2 and d.(r + c)."""
    r, c = np.sqrt(rr), np.sqrt(cc)
    norms = r * c
    close = (dd - (ds / (r + c)) ** 2) / (2.0 * norms)
    # Far from 1, or with very different norms, the plain formula has the smaller error.
    return np.where(dd < norms, np.maximum(close, 0.0), 1.0 - np.clip(rc / norms, -1.0, 1.0))


def _centred(sums: Array, terms: Array) -> tuple[Array, ...]:
    """The arguments of `_angle` after subtracting each side's mean."""
    r, c, d = sums[..., Sum.R], sums[..., Sum.C], sums[..., Sum.D]
    return (
        np.maximum(sums[..., Sum.RR] - r * r / terms, 0.0),
        np.maximum(sums[..., Sum.CC] - c * c / terms, 0.0),
        sums[..., Sum.RC] - r * c / terms,
        np.maximum(sums[..., Sum.DD] - d * d / terms, 0.0),
        sums[..., Sum.D_TIMES_R_PLUS_C] - d * (r + c) / terms,
    )


def _ratio(part: Array, whole: Array) -> Array:
    """Their quotient, with 0 / 0 = 0: there is no error in equal zeros."""
    return np.where(part == 0.0, 0.0, part / whole)


def _held(bound: Array) -> Array:
    return np.where(np.isinf(bound), np.nan, bound)
