"""Statistics of one tensor, and of the rows of a stack of small ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from parity.metrics.elements import flat, numbers
from parity.tensors import TensorStatistics

__all__ = ["tensor_statistics", "tensor_statistics_rows"]

Array = np.ndarray[Any, np.dtype[Any]]

# Elements converted to float64 at a time, so that they stay in the second-level cache.
BLOCK = 1 << 14
# E[x**2] - E[x]**2 keeps fewer than eight digits of a variance below this share of E[x**2].
CANCELS = 1e-8


def tensor_statistics(array: Array) -> TensorStatistics:
    """Statistics of one tensor of any shape and numeric dtype, over its finite elements.

    Raises:
        InputError: the dtype holds no numbers.
    """
    elements = flat(array)
    size = elements.size
    if size <= BLOCK:
        total, squares, low, high, zeros = _block(elements)
    else:
        blocks = [_block(elements[i : i + BLOCK]) for i in range(0, size, BLOCK)]
        columns = list(zip(*blocks, strict=True))
        total, squares, zeros = math.fsum(columns[0]), math.fsum(columns[1]), sum(columns[4])
        low, high = min(columns[2]), max(columns[3])
    if not math.isfinite(squares) or size == 0:
        return _with_gaps(elements)
    return _summary(elements, total, squares, low, high, zeros)


def tensor_statistics_rows(stack: Array) -> list[TensorStatistics]:
    """Statistics of `stack[0]`, `stack[1]`, ..., at little more than a microsecond a small row.

    Args:
        stack: any shape with at least one axis, any numeric dtype.

    Raises:
        InputError: the dtype holds no numbers.
    """
    rows = len(stack)
    elements = flat(stack).reshape(rows, -1)
    if rows == 0 or elements.shape[1] == 0 or elements.shape[1] > BLOCK:
        return [tensor_statistics(row) for row in elements]
    step = max(1, BLOCK // elements.shape[1])
    return [
        row for first in range(0, rows, step) for row in _few_rows(elements[first : first + step])
    ]


def _few_rows(elements: Array) -> list[TensorStatistics]:
    values = _values(elements)
    columns = (
        values.sum(axis=1).tolist(),
        np.einsum("ij,ij->i", values, values).tolist(),
        values.min(axis=1).tolist(),
        values.max(axis=1).tolist(),
        np.count_nonzero(values == 0.0, axis=1).tolist(),
    )
    return [
        _summary(row, *column) if math.isfinite(column[1]) else _with_gaps(row)
        for row, *column in zip(elements, *columns, strict=True)
    ]


def _values(elements: Array) -> Array:
    """The elements as float64, complex ones by their modulus."""
    return np.abs(numbers(elements)) if elements.dtype.kind == "c" else numbers(elements)


def _block(elements: Array) -> tuple[float, float, float, float, int]:
    """Sum, sum of squares, smallest, largest, number of zeros; nonsense if not all is finite."""
    if elements.size == 0:
        return 0.0, 0.0, math.inf, -math.inf, 0
    values = _values(elements)
    return (
        float(np.add.reduce(values)),
        float(np.dot(values, values)),
        float(np.minimum.reduce(values)),
        float(np.maximum.reduce(values)),
        values.size - int(np.count_nonzero(values)),
    )


def _summary(
    elements: Array,
    total: float,
    squares: float,
    low: float,
    high: float,
    zeros: int,
    nans: int = 0,
    infs: int = 0,
) -> TensorStatistics:
    count = elements.size
    finite = count - nans - infs
    mean = min(max(total / finite, low), high)
    power = squares / finite
    variance = power - mean * mean
    if low == high:
        variance = 0.0
    elif not variance > CANCELS * power:
        variance = _variance(elements, mean) / finite
    return TensorStatistics(
        count, mean, math.sqrt(variance), low, high, math.sqrt(squares), nans, infs, zeros
    )


def _variance(elements: Array, mean: float) -> float:
    """Sum of squared distances of the finite elements from their mean, in a second pass."""
    terms = []
    for first in range(0, elements.size, BLOCK):
        values = _values(elements[first : first + BLOCK])
        apart = values[np.isfinite(values)] - mean
        terms.append(float(np.dot(apart, apart)))
    return math.fsum(terms)


def _with_gaps(elements: Array) -> TensorStatistics:
    """The statistics of a tensor that is empty or holds NaN, infinities or enormous numbers."""
    nans = infs = 0
    blocks = []
    for first in range(0, elements.size, BLOCK):
        values = _values(elements[first : first + BLOCK])
        nans += int(np.count_nonzero(np.isnan(values)))
        infs += int(np.count_nonzero(np.isinf(values)))
        blocks.append(_block(values[np.isfinite(values)]))
    if nans + infs == elements.size:
        nan = math.nan
        return TensorStatistics(elements.size, nan, nan, nan, nan, nan, nans, infs, 0)
    totals, squares, lows, highs, zeros = zip(*blocks, strict=True)
    return _summary(
        elements,
        math.fsum(totals),
        sum(squares),
        min(lows),
        max(highs),
        sum(zeros),
        nans,
        infs,
    )
