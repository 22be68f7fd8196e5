"""Error over execution order and over steps, reduced to what a line of text or a plot can hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.diffing import DiffResult

__all__ = ["FloatColumn", "by_order", "by_step", "sparkline"]

FloatColumn = np.ndarray[Any, np.dtype[np.float64]]

BARS = "▁▂▃▄▅▆▇█"
# Errors below this many decades under the largest are drawn as the lowest bar.
DECADES = 8.0


def by_order(result: DiffResult, bins: int = 60) -> FloatColumn:
    """Largest relative L2 error in each of up to `bins` equal stretches of execution.

    Returns:
        float64 `[min(bins, compared tensors)]`; NaN errors count as infinite.
    """
    errors = _errors(result)[result.table.compared]
    pieces = np.array_split(errors, min(bins, errors.size)) if errors.size else []
    return np.array([piece.max() for piece in pieces])


def by_step(result: DiffResult) -> dict[str, FloatColumn]:
    """Largest relative L2 error at each step, for each phase that has steps.

    Returns:
        by phase, float64 `[steps]`; 0 at a step where nothing was compared.
    """
    table = result.table
    phases = np.array([key.phase for key in table.keys], dtype=object)
    errors, found = _errors(result), {}
    stepped = table.compared & (table.step >= 0)
    for phase in dict.fromkeys(phases[stepped]):
        rows = stepped & (phases == phase)
        largest = np.zeros(int(table.step[rows].max()) + 1)
        np.maximum.at(largest, table.step[rows], errors[rows])
        found[str(phase)] = largest
    return found


def sparkline(errors: FloatColumn, width: int = 60) -> str:
    """A row of bars, one a value, on a logarithmic scale; `×` where the error is not finite.

    Values beyond `width` are merged, each bar standing for the largest of its stretch.
    """
    if errors.size > width:
        errors = np.array([piece.max() for piece in np.array_split(errors, width)])
    finite = errors[np.isfinite(errors) & (errors > 0)]
    if not finite.size:
        return "".join("×" if not np.isfinite(e) else BARS[0] for e in errors)
    top = np.log10(finite.max())
    return "".join(_bar(error, top) for error in errors)


def _bar(error: float, top: float) -> str:
    if not np.isfinite(error):
        return "×"
    if error <= 0:
        return BARS[0]
    height = 1.0 - (top - np.log10(error)) / DECADES
    return BARS[int(np.clip(round(height * (len(BARS) - 1)), 0, len(BARS) - 1))]


def _errors(result: DiffResult) -> FloatColumn:
    column = result.table.metrics["rel_l2"]
    return np.where(np.isnan(column), np.inf, column)
