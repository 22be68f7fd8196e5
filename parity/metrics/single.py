"""Statistics of one tensor, and of the rows of a stack of small ones."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from parity.metrics.dots import dot
from parity.metrics.elements import flat, numbers
from parity.metrics.slices import COMPILED
from parity.tensors import TensorStatistics

__all__ = ["tensor_statistics", "tensor_statistics_rows"]

Array = np.ndarray[Any, np.dtype[Any]]

# Elements converted to float64 at a time, so that they stay in the cache.
BLOCK = 1 << 16
# E[x**2] - E[x]**2 keeps fewer than eight digits of a variance below this share of E[x**2].
CANCELS = 1e-8


class _Moments(NamedTuple):
    """What is taken from finite numbers in one pass."""

    total: float
    squares: float
    low: float
    high: float
    zeros: int


_NOTHING = _Moments(0.0, 0.0, math.inf, -math.inf, 0)


def tensor_statistics(array: Array) -> TensorStatistics:
    """Statistics of one tensor of any shape and numeric dtype, over its finite elements.

    Raises:
        InputError: the dtype holds no numbers.
    """
    elements = flat(array)
    size = elements.size
    if COMPILED in sys.modules and elements.dtype == np.float32:
        moments = _compiled_moments(elements)
    elif size <= BLOCK:
        moments = _moments(elements)
    else:
        moments = _merged(_moments(elements[i : i + BLOCK]) for i in range(0, size, BLOCK))
    if size == 0 or not math.isfinite(moments.squares):
        return _with_gaps(elements)
    return _summary(elements, moments)


def tensor_statistics_rows(stack: Array) -> list[TensorStatistics]:
    """Statistics of `stack[0]`, `stack[1]`, ..., at little more than a microsecond a small row.

    Args:
        stack: any shape with at least one axis, any numeric dtype.

    Raises:
        InputError: the dtype holds no numbers.
    """
    rows = len(stack)
    elements = flat(stack)
    if elements.size == 0 or elements.size > BLOCK * rows:
        return [tensor_statistics(row) for row in stack]
    elements = elements.reshape(rows, -1)
    step = BLOCK // elements.shape[1]
    return [
        row for first in range(0, rows, step) for row in _few_rows(elements[first : first + step])
    ]


def _few_rows(elements: Array) -> list[TensorStatistics]:
    values = _values(elements)
    with np.errstate(invalid="ignore", over="ignore"):  # rows with gaps are done again
        columns = (
            values.sum(axis=1).tolist(),
            np.einsum("ij,ij->i", values, values).tolist(),
            values.min(axis=1).tolist(),
            values.max(axis=1).tolist(),
            np.count_nonzero(values == 0.0, axis=1).tolist(),
        )
    return [
        _summary(row, moments) if math.isfinite(moments.squares) else _with_gaps(row)
        for row, moments in zip(elements, map(_Moments, *columns), strict=True)
    ]


def _values(elements: Array) -> Array:
    """The elements as float64, complex ones by their modulus."""
    return np.abs(numbers(elements)) if elements.dtype.kind == "c" else numbers(elements)


def _moments(elements: Array) -> _Moments:
    """Of at most a block; only `squares`, then infinite or NaN, if not all is finite."""
    if elements.size == 0:
        return _NOTHING
    values = _values(elements)
    if elements.itemsize < 8:
        squares = dot(values, values)
    else:
        with np.errstate(over="ignore"):  # too slow to enter for every small tensor
            squares = dot(values, values)
    if math.isfinite(squares):  # else the other reductions would warn of inf - inf
        # What needs no more digits is quicker in half the memory.
        plain = elements if elements.dtype == np.float32 else values
        return _finite_moments(plain, squares, float(np.add.reduce(values)))
    return _Moments(math.nan, squares, math.nan, math.nan, 0)


def _finite_moments(values: Array, squares: float, total: float) -> _Moments:
    # Comparing first is quicker for large arrays, and two calls for small ones.
    held = np.count_nonzero(values if values.size < 1024 else values != 0.0)
    return _Moments(
        total,
        squares,
        float(np.minimum.reduce(values)),
        float(np.maximum.reduce(values)),
        values.size - int(held),
    )


def _compiled_moments(elements: Array) -> _Moments:
    from parity.metrics._compiled import moments  # noqa: PLC0415 - over a second to load

    return _Moments(*moments(elements))


def _merged(parts: Iterable[_Moments]) -> _Moments:
    totals, squares, lows, highs, zeros = zip(*parts, strict=True)
    # Not math.fsum for the squares: it refuses infinities.
    return _Moments(sum(totals), sum(squares), min(lows), max(highs), sum(zeros))


def _summary(elements: Array, moments: _Moments, nans: int = 0, infs: int = 0) -> TensorStatistics:
    total, squares, low, high, zeros = moments
    count = elements.size
    finite = count - nans - infs
    mean = min(max(total / finite, low), high)
    power = squares / finite
    variance = power - mean * mean
    if low == high:
        variance = 0.0
    elif not variance > CANCELS * power:
        variance = _squares_around(mean, elements) / finite
    return TensorStatistics(
        count, mean, math.sqrt(variance), low, high, math.sqrt(squares), nans, infs, zeros
    )


def _squares_around(mean: float, elements: Array) -> float:
    """Sum of squared distances of the finite elements from their mean, in a second pass."""
    total = 0.0
    with np.errstate(over="ignore"):
        for first in range(0, elements.size, BLOCK):
            values = _values(elements[first : first + BLOCK])
            apart = values[np.isfinite(values)] - mean
            total += dot(apart, apart)
    return total


@np.errstate(over="ignore")
def _with_gaps(elements: Array) -> TensorStatistics:
    """The statistics of a tensor that is empty or holds NaN, infinities or enormous numbers."""
    nans = infs = 0
    parts = [_NOTHING]
    for first in range(0, elements.size, BLOCK):
        values = _values(elements[first : first + BLOCK])
        nans += int(np.count_nonzero(np.isnan(values)))
        infs += int(np.count_nonzero(np.isinf(values)))
        held = values[np.isfinite(values)]
        if held.size:
            parts.append(_finite_moments(held, dot(held, held), float(np.add.reduce(held))))
    if nans + infs == elements.size:
        nan = math.nan
        return TensorStatistics(elements.size, nan, nan, nan, nan, nan, nans, infs, 0)
    return _summary(elements, _merged(parts), nans, infs)
