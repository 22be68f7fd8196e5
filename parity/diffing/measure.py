"""Statistics of many pairs of tensors, in bounded memory, in one pass over the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from parity.align import TensorView
from parity.diffing.slabs import slab_groups
from parity.diffing.source import TensorSource
from parity.metrics import PairStatistics, pair_statistics_many

__all__ = ["Pair", "Progress", "measure"]

Array = np.ndarray[Any, np.dtype[Any]]
Progress = Callable[[int, int], None]
# Where a pair's tensors lie: a position in the records, or a view of the tensor there.
Pair = tuple["int | TensorView", "int | TensorView"]

# Mapped pages stay resident until they are let go, so this bounds the memory of both sides.
BATCH_BYTES = 64 << 20
# Small enough for a bar to move, large enough for one kernel call to pay.
BATCH_PAIRS = 4096


def measure(
    reference: TensorSource,
    candidate: TensorSource,
    pairs: Sequence[Pair],
    tolerances: tuple[Array, Array],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> PairStatistics:
    """Compare every pair; both tensors of a pair have the same shape.

    Args:
        reference: the tensors of the first places of the pairs.
        candidate: the tensors of the second places.
        pairs: what to compare.
        tolerances: `rtol` and `atol` of each pair, float64 `(len(pairs),)`.
        threads: to compare with; by default as many as pay (see `parity.metrics`).
        progress: called with how many of how many pairs are done.

    Returns:
        Statistics of leading shape `(len(pairs),)`, in the given order.
    """
    parts, order, done = [PairStatistics.zero((0,))], [np.zeros(0, np.int64)], 0

    def finish(members: Array, part: PairStatistics) -> None:
        nonlocal done
        parts.append(part)
        order.append(members)
        done += len(members)
        reference.release()
        candidate.release()
        if progress is not None:
            progress(done, len(pairs))

    groups, rest = slab_groups(reference, candidate, pairs, BATCH_BYTES)
    for group in groups:
        finish(group.members, group.statistics(tolerances, threads=threads))
    for members in _batches(reference, candidate, pairs, rest):
        left = [_tensor(reference, pairs[i][0]) for i in members]
        right = [_tensor(candidate, pairs[i][1]) for i in members]
        rtol, atol = (column[members] for column in tolerances)
        part = pair_statistics_many(left, right, rtol=rtol, atol=atol, threads=threads)
        del left, right
        finish(members, part)
    return PairStatistics.concatenate(parts)[np.argsort(np.concatenate(order))]


def _batches(
    reference: TensorSource, candidate: TensorSource, pairs: Sequence[Pair], rest: Sequence[int]
) -> Iterator[Array]:
    """Cut `rest`, positions in `pairs`, so that each part holds no more than it should."""
    batch: list[int] = []
    held = 0
    for i in rest:
        size = _bytes(reference, pairs[i][0]) + _bytes(candidate, pairs[i][1])
        if batch and (held + size > BATCH_BYTES or len(batch) >= BATCH_PAIRS):
            yield np.array(batch, np.int64)
            batch, held = [], 0
        batch.append(i)
        held += size
    if batch:
        yield np.array(batch, np.int64)


def _bytes(source: TensorSource, where: int | TensorView) -> int:
    """An upper bound of the memory behind a tensor; no element we handle is wider than 16 bytes."""
    position = where if isinstance(where, int) else where.position
    spec = source.records[position].spec
    return spec.size * _WIDTHS.get(spec.dtype, 16)


_WIDTHS = {
    "bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "bfloat16": 2,
    "int32": 4, "uint32": 4, "float32": 4, "int64": 8, "uint64": 8, "float64": 8, "complex64": 8,
}  # fmt: skip


def _tensor(source: TensorSource, where: int | TensorView) -> Array:
    if isinstance(where, int):
        return source.view(where)
    return where.apply(source.view(where.position))
