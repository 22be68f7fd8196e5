"""Statistics of pairs of tensors: one, many, or slices of two slabs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from parity.errors import InputError
from parity.metrics.elements import flat
from parity.metrics.pair import PairStatistics
from parity.metrics.slices import Slices, compare_slices, may_compile

__all__ = ["pair_statistics", "pair_statistics_many", "pair_statistics_slab"]

Array = np.ndarray[Any, np.dtype[Any]]
FlatPair = tuple[Array, Array]

RTOL = 1e-5
ATOL = 1e-8

# Tensors up to this many elements are copied together, so that one call serves many of them.
SMALL = 1 << 14
GATHERED = 1 << 18


def pair_statistics(
    reference: Array,
    candidate: Array,
    *,
    rtol: float = RTOL,
    atol: float = ATOL,
    offset: int = 0,
    threads: int | None = None,
) -> PairStatistics:
    """Compare two tensors of one shape, of any numeric dtypes.

    Args:
        reference: any shape.
        candidate: the same shape.
        rtol: relative tolerance that mismatches are counted with, `|d| <= atol + rtol * |r|`.
        atol: absolute tolerance that mismatches are counted with.
        offset: flat position of the first element, when these are parts of larger tensors.
        threads: how many to use at most; by default one for the compiled kernel, else all cores.

    Returns:
        Statistics of leading shape `()`.

    Raises:
        InputError: the shapes differ, or a dtype holds no numbers.
    """
    pair = _flat_pair(reference, candidate)
    slices = _side_by_side([pair], np.array([offset]), *_tolerances(rtol, atol, 1))
    compiled = may_compile(pair[0].nbytes + pair[1].nbytes)
    return compare_slices(slices, threads=threads, compiled=compiled)[0]


def pair_statistics_many(
    references: Sequence[Array],
    candidates: Sequence[Array],
    *,
    rtol: float | Array = RTOL,
    atol: float | Array = ATOL,
    threads: int | None = None,
) -> PairStatistics:
    """Compare n pairs of tensors; small ones are compared together, at microseconds each.

    Args:
        references: n arrays of any shapes and numeric dtypes.
        candidates: n arrays of the same shapes.
        rtol: relative tolerance, one number or float64 `(n,)`.
        atol: absolute tolerance, one number or float64 `(n,)`.
        threads: how many to use at most; by default one for the compiled kernel, else all cores.

    Returns:
        Statistics of leading shape `(n,)`, in the given order.

    Raises:
        InputError: the numbers of tensors or two shapes differ, or a dtype holds no numbers.
    """
    n = len(references)
    if len(candidates) != n:
        raise InputError(f"{n} reference tensors stand against {len(candidates)} candidate tensors")
    if n == 0:
        return PairStatistics.zero((0,))
    rtols, atols = _tolerances(rtol, atol, n)
    pairs = [_flat_pair(r, c) for r, c in zip(references, candidates, strict=True)]
    compiled = may_compile(sum(r.nbytes + c.nbytes for r, c in pairs))
    groups = list(_groups(pairs))
    parts = []
    for group in groups:
        chosen = [pairs[i] for i in group]
        slices = _side_by_side(chosen, np.zeros(len(group), np.int64), rtols[group], atols[group])
        parts.append(compare_slices(slices, threads=threads, compiled=compiled))
    order = np.argsort([i for group in groups for i in group])
    return PairStatistics.concatenate(parts)[order]


def pair_statistics_slab(
    reference: Array,
    candidate: Array,
    reference_starts: Array,
    candidate_starts: Array,
    lengths: Array,
    *,
    rtol: float | Array = RTOL,
    atol: float | Array = ATOL,
    threads: int | None = None,
) -> PairStatistics:
    """Compare n slices of two flat arrays, such as mapped parts of two capture files.

    Args:
        reference: `(m,)`, of any numeric dtype; float32 on both sides is the fast one.
        candidate: `(k,)`.
        reference_starts: int64 `(n,)`: where each slice begins in `reference`.
        candidate_starts: int64 `(n,)`: where each slice begins in `candidate`.
        lengths: int64 `(n,)`: numbers of elements; zero is allowed.
        rtol: relative tolerance, one number or float64 `(n,)`.
        atol: absolute tolerance, one number or float64 `(n,)`.
        threads: how many to use at most; by default one for the compiled kernel, else all cores.

    Returns:
        Statistics of leading shape `(n,)`.

    Raises:
        InputError: a slice lies outside its array, or the arguments' lengths differ.
    """
    r, c = flat(reference), flat(candidate)
    r_starts, c_starts, sizes = (
        np.asarray(v, np.int64) for v in (reference_starts, candidate_starts, lengths)
    )
    n = len(sizes)
    if not r_starts.shape == c_starts.shape == (n,):
        raise InputError("the starts and lengths of the slices differ in number")
    if n == 0:
        return PairStatistics.zero((0,))
    _check_inside(r, r_starts, sizes, "reference")
    _check_inside(c, c_starts, sizes, "candidate")
    rtols, atols = _tolerances(rtol, atol, n)
    slices = Slices(r, c, r_starts, c_starts, sizes, np.zeros(n, np.int64), rtols, atols)
    compiled = may_compile(int(sizes.sum()) * (r.itemsize + c.itemsize))
    return compare_slices(slices, threads=threads, compiled=compiled)


def _flat_pair(reference: Array, candidate: Array) -> FlatPair:
    if reference.shape != candidate.shape:
        raise InputError(
            f"a reference tensor of shape {reference.shape} has no position-by-position "
            f"comparison with a candidate tensor of shape {candidate.shape}"
        )
    return flat(reference), flat(candidate)


def _tolerances(rtol: float | Array, atol: float | Array, n: int) -> tuple[Array, Array]:
    spread = [np.broadcast_to(np.asarray(value, np.float64), (n,)) for value in (rtol, atol)]
    return np.ascontiguousarray(spread[0]), np.ascontiguousarray(spread[1])


def _check_inside(slab: Array, starts: Array, lengths: Array, side: str) -> None:
    if lengths.min() < 0 or starts.min() < 0 or (starts + lengths).max() > slab.size:
        raise InputError(f"a slice lies outside the {side} slab of {slab.size} elements")


def _groups(pairs: list[FlatPair]) -> Iterator[list[int]]:
    """Which pairs to compare in one call: the large ones alone, the small ones of equal dtypes."""
    small: dict[tuple[Any, Any], list[int]] = {}
    for i, (reference, candidate) in enumerate(pairs):
        if reference.size > SMALL:
            yield [i]
        else:
            small.setdefault((reference.dtype, candidate.dtype), []).append(i)
    for members in small.values():
        ends = np.cumsum([pairs[i][0].size for i in members])
        cuts = np.flatnonzero(np.diff(ends // GATHERED)) + 1
        yield from (part.tolist() for part in np.split(np.array(members), cuts))


def _side_by_side(pairs: list[FlatPair], positions: Array, rtol: Array, atol: Array) -> Slices:
    """The pairs one after another, copied together unless there is only one."""
    lengths = np.array([pair[0].size for pair in pairs], np.int64)
    starts = np.cumsum(lengths) - lengths
    reference, candidate = pairs[0]
    if len(pairs) > 1:
        reference = np.concatenate([pair[0] for pair in pairs])
        candidate = np.concatenate([pair[1] for pair in pairs])
    return Slices(reference, candidate, starts, starts, lengths, positions, rtol, atol)
