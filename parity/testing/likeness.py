"""What a wrong tensor looks like beside the right one: a guess from two arrays alone.

A diagnosis runs the reference again and proves a cause; this only compares two arrays, so what it
finds is called a likeness and nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from typing import Any

import ml_dtypes
import numpy as np

__all__ = ["likeness"]

Array = np.ndarray[Any, np.dtype[Any]]

# What a likeness may leave of the difference; and the fewest elements that can be like anything.
MOST_LEFT = 1e-2
LEAST_ELEMENTS = 4
# Axis orders and shifts are tried one by one.
MOST_AXES = 5
MOST_SHIFT = 8
ROUNDED = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
}


def likeness(reference: Array, candidate: Array) -> str:
    """How the candidate's tensor could have come from the reference's, in words; or empty.

    Args:
        reference: any shape, real numbers.
        candidate: any shape.
    """
    ours, theirs = _numbers(reference), _numbers(candidate)
    if ours is None or theirs is None or ours.size < LEAST_ELEMENTS:
        return ""
    if ours.shape != theirs.shape:
        return _shape_words(ours, theirs)
    off = float(np.linalg.norm(theirs - ours))
    if not off > 0:
        return ""
    for words, made in _candidates(ours, theirs):
        if float(np.linalg.norm(theirs - made())) <= MOST_LEFT * off:
            return words
    return ""


def _numbers(array: Array) -> Array | None:
    if array.dtype.kind in "cOSU":
        return None
    values = array.astype(np.float64)
    return values if np.isfinite(values).all() else None


def _shape_words(ours: Array, theirs: Array) -> str:
    if ours.size != theirs.size:
        return ""
    for axes in _orders(theirs.ndim):
        moved = theirs.transpose(axes)
        if moved.shape == ours.shape and _same(ours, moved):
            return (
                f"the reference's numbers with the axes in another order; "
                f"layouts={{...: {axes}}} brings them together"
            )
    if _same(ours, theirs.reshape(ours.shape)):
        return "the reference's numbers, reshaped"
    return ""


def _same(ours: Array, theirs: Array) -> bool:
    return float(np.linalg.norm(theirs - ours)) <= 1e-3 * float(np.linalg.norm(ours))


def _candidates(ours: Array, theirs: Array) -> Iterator[tuple[str, Callable[[], Array]]]:
    """Ways to get from one to the other, the most specific first."""
    yield "all zeros", lambda: np.zeros_like(ours)
    for name, dtype in ROUNDED.items():
        yield f"the reference rounded to {name}", partial(_rounded, ours, dtype)
    yield "the reference with its sign turned", lambda: -ours
    for axes in _orders(ours.ndim):
        if ours.transpose(axes).shape == ours.shape:
            yield f"the reference transposed by {axes}", partial(np.transpose, ours, axes)
    for axis, size in enumerate(ours.shape):
        if size > 1:
            yield f"the reference reversed along axis {axis}", partial(np.flip, ours, axis)
        for shift in range(1, min(MOST_SHIFT, size - 1) + 1):
            for way in (shift, -shift):
                words = f"the reference shifted by {way:+d} along axis {axis}"
                yield words, partial(np.roll, ours, way, axis)
    yield from _lines(ours, theirs)


def _rounded(ours: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore"):
        made = ours.astype(dtype).astype(np.float64)
    return np.where(np.isfinite(made), made, 0.0)


def _orders(ndim: int) -> Iterator[tuple[int, ...]]:
    if 2 <= ndim <= MOST_AXES:
        yield from (axes for axes in permutations(range(ndim)) if axes != tuple(range(ndim)))


def _lines(ours: Array, theirs: Array) -> Iterator[tuple[str, Callable[[], Array]]]:
    """A factor, an added number, or both, by least squares."""
    power = float((ours * ours).sum())
    factor = float((ours * theirs).sum()) / power if power else 1.0
    offset = float((theirs - ours).mean())
    yield f"the reference times {factor:.6g}", lambda: factor * ours
    yield f"the reference plus {offset:.6g}", lambda: ours + offset
    centred = ours - ours.mean()
    spread = float((centred * centred).sum())
    slope = float((centred * theirs).sum()) / spread if spread else 1.0
    start = float(theirs.mean()) - slope * float(ours.mean())
    yield f"{slope:.6g} times the reference plus {start:.6g}", lambda: slope * ours + start
