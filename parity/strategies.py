"""Hypothesis strategies for the tensors on which implementations of one operation disagree.

Shapes that kernels get wrong (empty, scalar, one, primes, around powers of two), memory that is not
laid out as usual, and values at the edges of their type. All shrink towards few and plain numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from parity.errors import InputError, MissingExtraError

try:
    from hypothesis import strategies as st
except ImportError:
    raise MissingExtraError.of("testing", needed_for="parity.strategies") from None

__all__ = ["dtypes", "memory_orders", "numbers", "shapes", "tensors"]

Array = np.ndarray[Any, np.dtype[Any]]

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int64", "int32", "uint8", "bool")
# One, primes, and the neighbours of powers of two, at which tiled and vectorised kernels end.
AWKWARD = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129)
# Up to so many numbers are drawn one by one, so that each can shrink; the rest comes from a seed.
FEW = 8


def dtypes(*, floats: bool = True, integers: bool = False) -> st.SearchStrategy[str]:
    """Names of element types: the floats that ports compute in, integers on request."""
    return st.sampled_from((FLOATS if floats else ()) + (INTEGERS if integers else ()))


@st.composite
def shapes(
    draw: st.DrawFn,
    *,
    min_dims: int = 0,
    max_dims: int = 4,
    max_side: int = 33,
    max_size: int = 4096,
    empty: bool = True,
) -> tuple[int, ...]:
    """Shapes with awkward sides.

    Args:
        draw: given by hypothesis.
        min_dims: fewest axes; 0 for scalars.
        max_dims: most axes.
        max_side: longest axis.
        max_size: most elements.
        empty: whether an axis may have length 0.
    """
    sides = [side for side in AWKWARD if side <= max_side] + ([0] if empty else [])
    found: list[int] = []
    for _ in range(draw(st.integers(min_dims, max_dims))):
        left = max_size // max(int(np.prod([side for side in found if side])), 1)
        found.append(draw(st.sampled_from([side for side in sides if side <= left] or [1])))
    return tuple(found)


def numbers(dtype: str = "float32", *, nonfinite: bool = False) -> st.SearchStrategy[Any]:
    """Single numbers of a type: plain ones, zeros of both signs, the smallest and the largest.

    Args:
        dtype: name of the element type.
        nonfinite: whether NaN and infinities are among them.
    """
    kind = np.dtype(_type(dtype))
    if kind.kind == "b":
        return st.booleans()
    if kind.kind in "iu":
        info = np.iinfo(kind)
        return st.one_of(st.integers(0, 9), st.integers(int(info.min), int(info.max)))
    width, limits = _limits(dtype)
    tiny, least, largest = limits
    edges = [0.0, -0.0, 1.0, -1.0, 0.5, tiny, -tiny, least, largest, -largest]
    extra = [np.nan, np.inf, -np.inf] if nonfinite else []
    plain = st.floats(-10, 10, width=width, allow_subnormal=False)
    return st.one_of(st.integers(-9, 9).map(float), plain, st.sampled_from(edges + extra))


def _type(name: str) -> Any:
    return getattr(ml_dtypes, name) if hasattr(ml_dtypes, name) else name


def _limits(dtype: str) -> tuple[Any, tuple[float, float, float]]:
    """Bits to draw with; smallest normal number, smallest at all, a large one that may be squared.

    Squares of the largest number overflow in every implementation, which shows nothing.
    """
    info = ml_dtypes.finfo(_type(dtype))  # type: ignore[no-untyped-call]
    width = 16 if dtype in {"float16", "bfloat16"} else 32
    large = float(np.sqrt(float(info.max))) / 4
    return width, (float(info.smallest_normal), float(info.smallest_subnormal), large)


def memory_orders() -> st.SearchStrategy[str]:
    """How a tensor lies in memory: `C`, `Fortran`, `strided`, `reversed`, `offset`."""
    return st.sampled_from(("C", "Fortran", "strided", "reversed", "offset"))


@st.composite
def tensors(
    draw: st.DrawFn,
    dtype: str | st.SearchStrategy[str] = "float32",
    shape: Sequence[int] | st.SearchStrategy[tuple[int, ...]] | None = None,
    *,
    elements: st.SearchStrategy[Any] | None = None,
    nonfinite: bool = False,
    memory: bool = False,
) -> Array:
    """Arrays of awkward shapes and values.

    Args:
        draw: given by hypothesis.
        dtype: name of the element type, or a strategy for it.
        shape: a shape, or a strategy for it; by default `shapes()`.
        elements: strategy for a single number; by default `numbers` of the type.
        nonfinite: whether NaN and infinities are among the numbers.
        memory: whether the array may lie in memory in another order, with gaps, or reversed.
    """
    name = draw(dtype) if isinstance(dtype, st.SearchStrategy) else dtype
    drawn = shapes() if shape is None else shape
    chosen = draw(drawn) if isinstance(drawn, st.SearchStrategy) else tuple(drawn)
    size = int(np.prod(chosen))
    one = numbers(name, nonfinite=nonfinite) if elements is None else elements
    whole = np.dtype(_type(name)).kind in "iub"
    values = _values(draw, one, size, whole=whole, only=elements is not None)
    with np.errstate(over="ignore", invalid="ignore"):
        array = values.reshape(chosen).astype(_type(name))
    return _laid_out(array, draw(memory_orders())) if memory else array


def _values(
    draw: st.DrawFn, one: st.SearchStrategy[Any], size: int, *, whole: bool, only: bool
) -> Array:
    """Numbers from a seed, with a few drawn ones among them at places of their own.

    Few and many are drawn alike, so that an input can shrink from many to few. Seed 0 is plain:
    zeros, and the drawn numbers at the front.

    Args:
        draw: given by hypothesis.
        one: strategy for a single number.
        size: how many.
        whole: whether they are whole numbers.
        only: whether each must be one that `one` can draw.
    """
    seed = draw(st.integers(0, 2**16))
    least = min(int(only), size)
    drawn: list[Any] = draw(st.lists(one, min_size=least, max_size=min(size, FEW)))
    random = np.random.default_rng(seed)
    places = random.permutation(size) if seed else np.arange(size)
    values = np.zeros(size, object)
    if only and size:
        which = random.integers(0, len(drawn), size) if seed else np.zeros(size, int)
        values[:] = [drawn[i] for i in which]
    elif seed:
        values[:] = random.integers(0, 2, size) if whole else random.standard_normal(size)
    for place, value in zip(places, drawn, strict=False):
        values[place] = value
    return values


def _laid_out(array: Array, order: str) -> Array:
    """The same numbers and shape, elsewhere in memory."""
    if order == "C" or array.ndim == 0:
        return array
    if order == "Fortran":
        return np.asfortranarray(array)
    if order == "reversed":
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    if order == "strided":
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if order == "offset":
        base = np.zeros(array.size + 1, array.dtype)
        base[1:] = array.reshape(-1)
        return base[1:].reshape(array.shape)
    raise InputError(f"there is no memory order {order!r}", hint="see parity.strategies")
