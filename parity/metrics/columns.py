"""Statistics of many small tensors of one shape, by column."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.metrics.elements import flat, numbers
from parity.metrics.single import BLOCK, CANCELS, tensor_statistics
from parity.tensors import TensorStatistics

__all__ = ["statistics_columns"]

Array = np.ndarray[Any, np.dtype[Any]]

NAMES = tuple(TensorStatistics._fields)


def statistics_columns(stack: Array) -> dict[str, Array]:
    """The statistics of `stack[0]`, `stack[1]`, ..., at a fraction of a microsecond a small row.

    Args:
        stack: any shape with at least one axis, any numeric dtype.

    Returns:
        The fields of `TensorStatistics`, each of shape `(n,)`, n the length of `stack`.

    Raises:
        InputError: the dtype holds no numbers.
    """
    elements = flat(stack).reshape(len(stack), -1)
    step = max(1, BLOCK // max(1, elements.shape[1]))
    if len(stack) <= step:
        return _columns(elements)
    parts = [_columns(elements[i : i + step]) for i in range(0, len(stack), step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in NAMES}


def _columns(elements: Array) -> dict[str, Array]:
    values = numbers(elements)
    if elements.dtype.kind == "c":
        values = np.abs(values)
    columns = _of_finite(values) if values.size else _nothing(len(values))
    # What the plain formulas cannot say: rows with gaps, rows whose variance cancels.
    for row in np.flatnonzero(~columns.pop("plain")):
        one = tensor_statistics(elements[row])
        for name in NAMES:
            columns[name][row] = getattr(one, name)
    return columns


def _of_finite(values: Array) -> dict[str, Array]:
    rows, count = values.shape
    low, high = values.min(axis=1), values.max(axis=1)
    # Infinities and NaN spread into their row's sums, which marks it.
    with np.errstate(invalid="ignore", over="ignore"):
        squares = np.einsum("ij,ij->i", values, values)
        mean = np.clip(values.sum(axis=1) / count, low, high)
        power = squares / count
        variance = power - mean * mean
        plain = np.isfinite(squares) & ((variance > CANCELS * power) | (low == high))
        std = np.sqrt(np.where((low == high) | ~plain, 0.0, variance))
    return {
        "count": np.full(rows, count),
        "mean": mean,
        "std": std,
        "min": low,
        "max": high,
        "l2": np.sqrt(squares),
        "nan_count": np.zeros(rows, np.int64),
        "inf_count": np.zeros(rows, np.int64),
        "zero_count": count - np.count_nonzero(values, axis=1),
        "plain": plain,
    }


def _nothing(rows: int) -> dict[str, Array]:
    kinds = {name: np.int64 if "count" in name else np.float64 for name in NAMES}
    columns = {name: np.zeros(rows, kind) for name, kind in kinds.items()}
    return {**columns, "plain": np.zeros(rows, np.bool_)}
