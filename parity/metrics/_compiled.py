"""The float32 kernels, compiled by numba; importing this module costs over a second.

What one pass does to a stretch of 1,024 elements, while it is in the first-level cache: bits and
bounds as integers, which also say whether all is finite; then sums and distances. Of a stretch
that holds a NaN or an infinity, the finite pairs are copied out first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from parity.metrics.pair import Bound, Count, Sum

__all__ = ["compare_blocks", "moments"]

STRETCH = 1024
# Sums may be reordered into vector lanes. Not `nnan`: a NaN must reach the result.
REORDER = {"reassoc", "contract", "nsz"}

MAGNITUDE = np.int32(0x7FFFFFFF)
INFINITE = np.int32(0x7F800000)

_R, _C, _RR, _CC, _RC = (int(Sum[name]) for name in ("R", "C", "RR", "CC", "RC"))
_D, _DD, _ABS_D, _DS = (int(Sum[name]) for name in ("D", "DD", "ABS_D", "D_TIMES_R_PLUS_C"))
_REFERENCE, _CANDIDATE = int(Bound.REFERENCE), int(Bound.CANDIDATE)
_ELEMENTS, _COMPARED, _TERMS = int(Count.ELEMENTS), int(Count.COMPARED), int(Count.TERMS)
_IDENTICAL, _MISMATCHED = int(Count.IDENTICAL), int(Count.MISMATCHED)
_R_NAN, _R_INF = int(Count.REFERENCE_NAN), int(Count.REFERENCE_INF)
_C_NAN, _C_INF = int(Count.CANDIDATE_NAN), int(Count.CANDIDATE_INF)
_AGREED, _DISAGREED = int(Count.NONFINITE_AGREED), int(Count.NONFINITE_MISMATCHED)


@njit(nogil=True, cache=True)
def _tolerance(x: Any, rtol: Any, atol: Any) -> Any:
    # Compiled without `contract`, so that it rounds as numpy does wherever it is inlined.
    return atol + rtol * abs(x)


@njit(nogil=True, cache=True, fastmath=REORDER)
def _sums(r: Any, c: Any, rtol: Any, atol: Any) -> Any:
    """The sums of a finite stretch, its largest |d|, and how many are over the tolerance."""
    sr = sc = srr = scc = src = sd = sdd = sabs = sdr = 0.0
    largest = np.int64(0)
    over = np.int64(0)
    for i in range(r.size):
        x = np.float64(r[i])
        y = np.float64(c[i])
        d = y - x
        distance = abs(d)
        sr += x
        sc += y
        srr += x * x
        scc += y * y
        src += x * y
        sd += d
        sdd += d * d
        sabs += distance
        sdr += d * x
        # Floats that are not negative are ordered as their bits, and only a maximum of integers
        # leaves the loop vectorised.
        largest = max(largest, np.float64(distance).view(np.int64))
        over += np.int64(distance > _tolerance(x, rtol, atol))
    sums = (sr, sc, srr, scc, src, sd, sdd, sabs, 2.0 * sdr + sdd)
    return sums, np.int64(largest).view(np.float64), over


@njit(nogil=True, cache=True)
def _bits(r_bits: Any, c_bits: Any) -> Any:
    """Equal patterns, largest distance, and bounds of two stretches as places on a line.

    The place of a float32 is how many numbers lie between it and zero, negative below; both
    zeros are one place. Every intermediate result is forced to 32 bits: sixteen of these fit a
    vector register, and numba would widen them.
    """
    same = np.int32(0)
    largest = np.uint32(0)
    r_low = c_low = np.int32(0x7FFFFFFF)
    r_high = c_high = np.int32(-0x80000000)
    for i in range(r_bits.size):
        a, b = r_bits[i], c_bits[i]
        a_sign = np.int32(a >> np.int32(31))
        b_sign = np.int32(b >> np.int32(31))
        x = np.int32(np.int32(np.int32(a & MAGNITUDE) ^ a_sign) - a_sign)
        y = np.int32(np.int32(np.int32(b & MAGNITUDE) ^ b_sign) - b_sign)
        same = np.int32(same + np.int32(a == b))
        # The distance needs 33 bits with a sign, 32 without.
        largest = max(largest, np.uint32(np.uint32(max(x, y)) - np.uint32(min(x, y))))
        r_low = min(r_low, x)
        r_high = max(r_high, x)
        c_low = min(c_low, y)
        c_high = max(c_high, y)
    return same, largest, r_low, r_high, c_low, c_high


@njit(nogil=True, cache=True)
def _float_at(place: Any) -> Any:
    bits = place if place >= 0 else np.int32(-place) | np.int32(-0x80000000)
    return np.float64(np.int32(bits).view(np.float32))


@njit(nogil=True, cache=True)
def _first_of(r: Any, c: Any, distance: Any) -> Any:
    for i in range(r.size):
        if abs(np.float64(c[i]) - np.float64(r[i])) == distance:
            return i
    return 0


@njit(nogil=True, cache=True)
def _count_non_finite(r: Any, c: Any, counts: Any) -> Any:
    """Count what is not finite; the first place where the sides disagree about it, or -1."""
    first = -1
    for i in range(r.size):
        x, y = r[i], c[i]
        if np.isfinite(x) and np.isfinite(y):
            continue
        counts[_R_NAN] += np.isnan(x)
        counts[_C_NAN] += np.isnan(y)
        counts[_R_INF] += np.isinf(x)
        counts[_C_INF] += np.isinf(y)
        agreed = x == y or (np.isnan(x) and np.isnan(y))
        counts[_AGREED] += agreed
        counts[_DISAGREED] += not agreed
        if not agreed and first < 0:
            first = i
    return first


@njit(nogil=True, cache=True)
def _keep_finite(r: Any, c: Any, finite_r: Any, finite_c: Any, places: Any) -> Any:
    kept = 0
    for i in range(r.size):
        if np.isfinite(r[i]) and np.isfinite(c[i]):
            finite_r[kept] = r[i]
            finite_c[kept] = c[i]
            places[kept] = i
            kept += 1
    return kept


@njit(nogil=True, cache=True)
def _add(row: Any, sums: Any) -> Any:
    row[_R] += sums[0]
    row[_C] += sums[1]
    row[_RR] += sums[2]
    row[_CC] += sums[3]
    row[_RC] += sums[4]
    row[_D] += sums[5]
    row[_DD] += sums[6]
    row[_ABS_D] += sums[7]
    row[_DS] += sums[8]


@njit(nogil=True, cache=True)
def compare_blocks(  # noqa: PLR0917 - compiled functions take no keywords
    reference: Any,
    candidate: Any,
    r_starts: Any,
    c_starts: Any,
    lengths: Any,
    positions: Any,
    rtol: Any,
    atol: Any,
    sums: Any,
    counts: Any,
    lows: Any,
    highs: Any,
    max_abs: Any,
    argmax: Any,
    first_nonfinite: Any,
    max_ulp: Any,
) -> None:
    """Compare k blocks of two flat float32 arrays.

    Block j is `reference[r_starts[j] : r_starts[j] + lengths[j]]` and likewise of the candidate;
    `positions[j]` is where it begins within its tensor, `rtol[j]` and `atol[j]` its tolerance.
    Results go into row j of the others, which hold the statistics of nothing when called.
    """
    finite_r = np.empty(STRETCH, np.float32)
    finite_c = np.empty(STRETCH, np.float32)
    places = np.empty(STRETCH, np.int64)
    for j in range(lengths.size):
        count = counts[j]
        largest = -np.inf
        count[_ELEMENTS] = lengths[j]
        for start in range(0, lengths[j], STRETCH):
            size = min(STRETCH, lengths[j] - start)
            r = reference[r_starts[j] + start : r_starts[j] + start + size]
            c = candidate[c_starts[j] + start : c_starts[j] + start + size]
            same, ulp, r_low, r_high, c_low, c_high = _bits(r.view(np.int32), c.view(np.int32))
            count[_IDENTICAL] += same
            gaps = min(r_low, c_low) <= -INFINITE or max(r_high, c_high) >= INFINITE
            if gaps:
                first = _count_non_finite(r, c, count)
                if first >= 0:
                    place = positions[j] + start + first
                    first_nonfinite[j] = min(first_nonfinite[j], place)
                size = _keep_finite(r, c, finite_r, finite_c, places)
                if size == 0:
                    continue
                r, c = finite_r[:size], finite_c[:size]
                _, ulp, r_low, r_high, c_low, c_high = _bits(r.view(np.int32), c.view(np.int32))
            partial, distance, over = _sums(r, c, rtol[j], atol[j])
            _add(sums[j], partial)
            count[_COMPARED] += size
            count[_MISMATCHED] += over
            lows[j, _REFERENCE] = min(lows[j, _REFERENCE], _float_at(r_low))
            highs[j, _REFERENCE] = max(highs[j, _REFERENCE], _float_at(r_high))
            lows[j, _CANDIDATE] = min(lows[j, _CANDIDATE], _float_at(c_low))
            highs[j, _CANDIDATE] = max(highs[j, _CANDIDATE], _float_at(c_high))
            max_ulp[j] = max(max_ulp[j], np.float64(ulp))
            if distance > largest:
                largest = distance
                first = _first_of(r, c, distance)
                argmax[j] = positions[j] + start + (places[first] if gaps else first)
        count[_TERMS] = count[_COMPARED]
        count[_MISMATCHED] += count[_DISAGREED]
        max_abs[j] = largest


@njit(nogil=True, cache=True, fastmath=REORDER)
def _totals(values: Any) -> Any:
    total = squares = 0.0
    for i in range(values.size):
        x = np.float64(values[i])
        total += x
        squares += x * x
    return total, squares


@njit(nogil=True, cache=True)
def _extent(bits: Any) -> Any:
    """Lowest and highest place of a stretch, as in `_bits`, and its zeros."""
    low = np.int32(0x7FFFFFFF)
    high = np.int32(-0x80000000)
    zeros = np.int32(0)
    for i in range(bits.size):
        sign = np.int32(bits[i] >> np.int32(31))
        x = np.int32(np.int32(np.int32(bits[i] & MAGNITUDE) ^ sign) - sign)
        low = min(low, x)
        high = max(high, x)
        zeros = np.int32(zeros + np.int32(x == np.int32(0)))
    return low, high, zeros


@njit(nogil=True, cache=True)
def moments(values: Any) -> Any:
    """Sum, sum of squares, smallest, largest, zeros of a flat float32 array.

    The last three mean nothing unless the sum of squares is finite.
    """
    total = squares = 0.0
    low, high, zeros = np.inf, -np.inf, 0
    for start in range(0, values.size, STRETCH):
        stretch = values[start : start + STRETCH]
        partial, partial_squares = _totals(stretch)
        total += partial
        squares += partial_squares
        stretch_low, stretch_high, stretch_zeros = _extent(stretch.view(np.int32))
        low = min(low, _float_at(stretch_low))
        high = max(high, _float_at(stretch_high))
        zeros += stretch_zeros
    return total, squares, low, high, zeros
