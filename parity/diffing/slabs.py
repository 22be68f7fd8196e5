"""Small float32 tensors of two capture files, compared by the thousand in one kernel call.

An array object a tensor would cost more than its comparison.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity.diffing.source import TensorSource
from parity.metrics import PairStatistics, pair_statistics_slab

__all__ = ["SlabGroup", "slab_groups"]

Array = np.ndarray[Any, np.dtype[Any]]

DTYPE = np.dtype(np.float32)
SMALL_BYTES = 1 << 16
# Below this an array a tensor is no burden, and the progress is seen better.
WORTH_GROUPING = 256


@dataclass(frozen=True, slots=True, eq=False)
class SlabGroup:
    """Slices of two files to compare in one call.

    Attributes:
        members: int64 `(n,)`, which pairs these are.
        slabs: both files' bytes as float32, `(m,)` and `(k,)`.
        starts: int64 `(n,)` each: where the slices begin, by side.
        lengths: int64 `(n,)`: their elements.
    """

    members: Array
    slabs: tuple[Array, Array]
    starts: tuple[Array, Array]
    lengths: Array

    def statistics(
        self, tolerances: tuple[Array, Array], *, threads: int | None = None
    ) -> PairStatistics:
        """Of the group's pairs; `tolerances` are those of all pairs."""
        rtol, atol = (column[self.members] for column in tolerances)
        return pair_statistics_slab(
            *self.slabs, *self.starts, self.lengths, rtol=rtol, atol=atol, threads=threads
        )


def slab_groups(
    reference: TensorSource, candidate: TensorSource, pairs: Sequence[Any], most_bytes: int
) -> tuple[list[SlabGroup], Sequence[int]]:
    """Groups of the pairs that a slab call can compare, and the positions of all others.

    Args:
        reference: the tensors of the first places of the pairs.
        candidate: the tensors of the second places.
        pairs: what to compare.
        most_bytes: what a group may hold of both sides together.
    """
    of_left, of_right = reference.slab(), candidate.slab()
    if of_left is None or of_right is None or len(pairs) < WORTH_GROUPING:
        return [], range(len(pairs))
    (left, left_starts, left_bytes), (right, right_starts, right_bytes) = of_left, of_right
    whole = np.array(
        [(i, a, b) for i, (a, b) in enumerate(pairs) if isinstance(a, int) and isinstance(b, int)],
        np.int64,
    ).reshape(-1, 3)
    ours, theirs = whole[:, 1], whole[:, 2]
    fits = (
        _is_small(reference, ours, left_starts, left_bytes)
        & _is_small(candidate, theirs, right_starts, right_bytes)
        & (left_bytes[ours] == right_bytes[theirs])
    )
    chosen = whole[fits]
    floats = _as_floats(left), _as_floats(right)
    sizes = left_bytes[chosen[:, 1]] // DTYPE.itemsize
    groups = [
        SlabGroup(
            chosen[part, 0],
            floats,
            (left_starts[chosen[part, 1]] // 4, right_starts[chosen[part, 2]] // 4),
            sizes[part],
        )
        for part in _parts(sizes * 2 * DTYPE.itemsize, most_bytes)
    ]
    rest = np.setdiff1d(np.arange(len(pairs)), chosen[:, 0])
    return groups, rest.tolist()


def _is_small(source: TensorSource, which: Array, starts: Array, nbytes: Array) -> Array:
    """Whether these tensors are small, float32, kept, and lie on a float's boundary."""
    name = DTYPE.name  # numpy makes it anew each time
    kinds = np.array([record.spec.dtype == name for record in source.records], np.bool_)
    return np.asarray(
        kinds[which]
        & (nbytes[which] <= SMALL_BYTES)
        & (starts[which] >= 0)
        & (starts[which] % DTYPE.itemsize == 0)
    )


def _as_floats(data: Array) -> Array:
    return data[: len(data) // DTYPE.itemsize * DTYPE.itemsize].view(DTYPE)


def _parts(nbytes: Array, most: int) -> Iterator[slice]:
    """Consecutive stretches of at most `most` bytes, or of one element."""
    start = 0
    ends = np.cumsum(nbytes)
    while start < len(nbytes):
        before = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, before + most, side="right")), start + 1)
        yield slice(start, stop)
        start = stop
