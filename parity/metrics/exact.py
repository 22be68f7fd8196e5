"""Sums of floats that come out the same to the last bit in whatever order they are merged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ExactSum"]

Array = np.ndarray[Any, np.dtype[Any]]

DIGIT_BITS = 32
DIGIT_MASK = (1 << DIGIT_BITS) - 1
# A float64 spans three 32-bit digits; a fourth keeps 96 bits below the largest term.
DIGITS = 4
ZERO_TOP = -64  # below the position of the smallest subnormal, -34
OVERFLOW_TOP = 64  # above the position of the largest float64, 31


@dataclass(frozen=True, slots=True, eq=False)
class ExactSum:
    """Sums held as integers on a fixed grid, so that addition is associative bit for bit.

    A sum is `sum(digits[..., k] * 2**(32 * (top - k)))`. Every term is cut into 32-bit digits at
    absolute positions, and digits more than three places below the largest term's leading one
    are dropped; which ones these are depends on the set of terms only. Digits are added without
    carry, which 2**31 terms cannot overflow. (The idea is that of the indexed accumulators of
    Demmel and Nguyen, "Parallel Reproducible Summation", 2015.)

    Attributes:
        top: int64 `(...)`: position of the leading digit; a marker above all when a term was
            infinite or NaN.
        digits: int64 `(..., 4)`.
    """

    top: Array
    digits: Array

    @classmethod
    def of(cls, terms: Array) -> ExactSum:
        """One sum for each float64 of `terms` `(...)`."""
        finite = np.isfinite(terms)
        terms = np.where(finite, terms, 0.0)
        _, exponent = np.frexp(terms)
        top = np.where(terms != 0.0, (exponent.astype(np.int64) - 1) // DIGIT_BITS, ZERO_TOP)
        digits = np.empty((*terms.shape, DIGITS), np.int64)
        # ldexp by at most 2048 places would overflow half-way for the smallest terms.
        rest = np.ldexp(np.ldexp(terms, -top * 16), -top * 16)
        for place in range(DIGITS):
            digit = np.trunc(rest)
            digits[..., place] = digit
            rest = np.ldexp(rest - digit, DIGIT_BITS)
        return cls(np.where(finite, top, OVERFLOW_TOP), digits)

    @classmethod
    def zero(cls, shape: tuple[int, ...] = ()) -> ExactSum:
        """The neutral element, of the given shape."""
        return cls(np.full(shape, ZERO_TOP, np.int64), np.zeros((*shape, DIGITS), np.int64))

    def __add__(self, other: ExactSum) -> ExactSum:
        top = np.maximum(self.top, other.top)
        return ExactSum(top, self._digits_at(top) + other._digits_at(top))

    def __getitem__(self, index: Any) -> ExactSum:
        return ExactSum(np.asarray(self.top[index]), self.digits[index])

    def total(self, axis: int) -> ExactSum:
        """The sum along one non-negative axis."""
        if self.top.shape[axis] == 0:
            shape = self.top.shape
            return ExactSum.zero(shape[:axis] + shape[axis + 1 :])
        top = self.top.max(axis=axis, keepdims=True)
        return ExactSum(top.squeeze(axis), self._digits_at(top).sum(axis=axis))

    def segments(self, starts: Array) -> ExactSum:
        """Sums along axis 0 over `[starts[i], starts[i + 1])`; no segment may be empty."""
        lengths = np.diff(starts, append=self.top.shape[0])
        top = np.maximum.reduceat(self.top, starts, axis=0)
        digits = self._digits_at(np.repeat(top, lengths, axis=0))
        return ExactSum(top, np.add.reduceat(digits, starts, axis=0))

    def value(self) -> Array:
        """The sums as float64 `(...)`; NaN where a term was not finite."""
        carried = _carried(self.digits)
        # Of the absolute value: the borrows of a negative number would cancel when added up.
        negative = carried[..., 0] < 0
        carried = np.where(negative[..., None], _carried(-self.digits), carried)
        high, low = carried[..., 0] >> DIGIT_BITS, carried[..., 0] & DIGIT_MASK
        value = carried[..., 3] * 2.0**-96 + carried[..., 2] * 2.0**-64
        value = (value + carried[..., 1] * 2.0**-32) + low + high * 2.0**32
        value = np.where(negative, -value, value)
        with np.errstate(over="ignore"):  # a sum beyond the largest float64 is infinite
            value = np.ldexp(np.ldexp(value, self.top * 16), self.top * 16)
        return np.where(self.top == OVERFLOW_TOP, np.nan, value)

    def _digits_at(self, top: Array) -> Array:
        """The digits moved down to a leading position that is nowhere lower than the own one."""
        shift = top - self.top
        if not shift.any():
            return self.digits
        place = np.arange(DIGITS) - shift[..., None]
        moved = np.take_along_axis(self.digits, np.maximum(place, 0), axis=-1)
        return np.where(place >= 0, moved, 0)


def _carried(digits: Array) -> Array:
    """The same number with all digits but the first in `[0, 2**32)`."""
    digits = digits.copy()
    for place in range(DIGITS - 1, 0, -1):
        digits[..., place - 1] += digits[..., place] >> DIGIT_BITS
        digits[..., place] &= DIGIT_MASK
    return digits
