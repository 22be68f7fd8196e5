"""Two tensors side by side, reduced to what a page can hold: heat maps, histograms, extremes."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.report.page.evidence import TensorPair
from parity.report.page.packing import digits, image, levels

__all__ = ["picture"]

Array = np.ndarray[Any, np.dtype[Any]]
ROWS, COLUMNS = 64, 128  # cells of a heat map
BINS = 48  # of a histogram
POINTS = 400  # of the error against the magnitude
WORST = 12  # elements listed
TRACE = 480  # stretches of a signal
# Errors this many decades below the largest are drawn as the lowest.
DECADES = 3.0


def picture(pair: TensorPair) -> dict[str, Any]:
    """What the page's script draws of a pair of tensors, as JSON values."""
    ours, theirs = _real(pair.reference), _real(pair.candidate)
    with np.errstate(all="ignore"):
        error = np.abs(theirs - ours)
    return {
        "row": pair.row,
        "shape": list(pair.reference.shape),
        "heat": _heat(ours, theirs, error),
        "trace": _trace(ours, theirs, error),
        "histogram": _histogram(ours, theirs),
        "scatter": _scatter(ours, error),
        "worst": _worst(ours, theirs, error),
        "summary": [_summary(ours), _summary(theirs)],
    }


def _real(array: Array) -> Array:
    """As float64; complex numbers by their magnitude."""
    values = np.abs(array) if array.dtype.kind == "c" else array
    return np.atleast_1d(values).astype(np.float64)


def _heat(ours: Array, theirs: Array, error: Array) -> dict[str, Any]:
    """The last axis across, all others down, in blocks: their means, and their largest error."""
    grids = [_blocks(ours), _blocks(theirs)]
    worst = _blocks(error, largest=True)
    both = np.concatenate([grid[np.isfinite(grid)] for grid in grids] or [np.zeros(1)])
    low, high = (float(both.min()), float(both.max())) if both.size else (0.0, 0.0)
    top = float(np.max(worst[np.isfinite(worst)], initial=0.0))
    with np.errstate(divide="ignore"):
        decades = np.where(worst > 0, np.log10(worst / (top or 1.0)), -DECADES)
    decades = np.where(np.isfinite(worst), decades, np.nan)
    rows, columns = grids[0].shape
    flat = ours.reshape(-1, ours.shape[-1])
    return {
        "rows": rows,
        "columns": columns,
        "block": [-(-flat.shape[0] // rows), -(-flat.shape[1] // columns)],
        "range": digits([low, high, top]),
        "reference": image(levels(grids[0], low, high)),
        "candidate": image(levels(grids[1], low, high)),
        "error": image(levels(decades, -DECADES, 0.0)),
    }


def _blocks(values: Array, *, largest: bool = False) -> Array:
    """`values` as at most `(ROWS, COLUMNS)` blocks, each its mean or its largest; NaN spreads."""
    flat = values.reshape(-1, values.shape[-1])
    reduce = np.maximum.reduceat if largest else np.add.reduceat
    counts = np.ones(())
    for axis, most in ((0, ROWS), (1, COLUMNS)):
        size = flat.shape[axis]
        step = -(-size // most)
        starts = np.arange(0, size, step)
        flat = reduce(flat, starts, axis=axis)
        lengths = np.diff([*starts, size]).astype(float)
        counts = counts * (lengths[:, None] if axis == 0 else lengths[None, :])
    return flat if largest else flat / counts


def _trace(ours: Array, theirs: Array, error: Array) -> dict[str, Any] | None:
    """A tensor of one row as a signal: lowest and highest of each stretch, and largest error."""
    count = ours.shape[-1]
    if ours.size != count or count < COLUMNS:
        return None
    starts = np.arange(0, count, -(-count // TRACE))
    lines = {
        "x": starts.tolist(),
        "error": digits(np.maximum.reduceat(error.ravel(), starts)),
    }
    for name, values in (("reference", ours.ravel()), ("candidate", theirs.ravel())):
        lines[name] = [
            digits(np.minimum.reduceat(values, starts)),
            digits(np.maximum.reduceat(values, starts)),
        ]
    return lines


def _histogram(ours: Array, theirs: Array) -> dict[str, Any]:
    """How many elements lie in each of `BINS` equal stretches, on both sides."""
    finite = [values[np.isfinite(values)] for values in (ours, theirs)]
    both = np.concatenate(finite)
    low, high = (float(both.min()), float(both.max())) if both.size else (0.0, 1.0)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    counts = [np.histogram(values, BINS, (low, high))[0].tolist() for values in finite]
    return {"range": digits([low, high]), "reference": counts[0], "candidate": counts[1]}


def _scatter(ours: Array, error: Array) -> dict[str, Any]:
    """Magnitude and error of evenly spaced elements and of the worst; exact ones have no point."""
    size, flat = np.abs(ours).ravel(), error.ravel()
    chosen = np.arange(0, flat.size, -(-flat.size // POINTS))
    chosen = np.union1d(chosen, _largest(flat, POINTS // 8))
    x, y = size[chosen], flat[chosen]
    seen = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
    return {"x": digits(x[seen], 3), "y": digits(y[seen], 3), "of": int(flat.size)}


def _largest(flat: Array, count: int) -> Array:
    """Places of the `count` largest of `(n,)`, largest first; NaN counts as largest."""
    ranked = np.where(np.isnan(flat), np.inf, flat)
    few = np.argpartition(-ranked, min(count, flat.size) - 1)[:count]
    found: Array = few[np.argsort(-ranked[few], kind="stable")]
    return found


def _worst(ours: Array, theirs: Array, error: Array) -> list[dict[str, Any]]:
    places = [int(p) for p in _largest(error.ravel(), WORST)]
    return [
        {
            "at": [int(i) for i in np.unravel_index(place, ours.shape)],
            "reference": _said(ours.ravel()[place]),
            "candidate": _said(theirs.ravel()[place]),
            "error": _said(error.ravel()[place]),
        }
        for place in places
    ]


def _said(value: float) -> str:
    return f"{value:.6g}"


def _summary(values: Array) -> dict[str, str]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return {"not finite": f"{values.size:,}"}
    found = {"mean": finite.mean(), "std": finite.std(), "min": finite.min(), "max": finite.max()}
    summary = {name: f"{value:.4g}" for name, value in found.items()}
    lost = values.size - finite.size
    return summary | ({"not finite": f"{lost:,}"} if lost else {})
