"""Statistics of many pairs of tensors, in bounded memory, in one pass over the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from parity.align import TensorView
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
        threads: to compare with; all cores by default.
        progress: called with how many of how many pairs are done.

    Returns:
        Statistics of leading shape `(len(pairs),)`, in the given order.
    """
    parts = [PairStatistics.zero((0,))]
    done = 0
    for batch in _batches(reference, candidate, pairs):
        left = [_tensor(reference, pair[0]) for pair in batch]
        right = [_tensor(candidate, pair[1]) for pair in batch]
        rtol, atol = (column[done : done + len(batch)] for column in tolerances)
        parts.append(pair_statistics_many(left, right, rtol=rtol, atol=atol, threads=threads))
        del left, right
        reference.release()
        candidate.release()
        done += len(batch)
        if progress is not None:
            progress(done, len(pairs))
    return PairStatistics.concatenate(parts)


def _batches(
    reference: TensorSource, candidate: TensorSource, pairs: Sequence[Pair]
) -> Iterator[Sequence[Pair]]:
    start, held = 0, 0
    for stop, (left, right) in enumerate(pairs):
        size = _bytes(reference, left) + _bytes(candidate, right)
        if stop > start and (held + size > BATCH_BYTES or stop - start >= BATCH_PAIRS):
            yield pairs[start:stop]
            start, held = stop, 0
        held += size
    if start < len(pairs):
        yield pairs[start:]


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
