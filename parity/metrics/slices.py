"""The engine: slices of two flat arrays, cut into blocks, shared out among threads, merged."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

from parity.metrics.blocks import compare_segments
from parity.metrics.exact import ExactSum
from parity.metrics.pair import PairStatistics, Sum

__all__ = ["COMPILED", "Slices", "compare_slices", "may_compile"]

Array = np.ndarray[Any, np.dtype[Any]]

# Sums are plain float64 inside a block and exact between blocks. Large enough for numpy's calls to
# pay, small enough for its temporary arrays to stay in the third-level cache.
BLOCK = 1 << 16
# Below this many bytes of both sides, loading the compiled kernel (about a second) cannot pay;
# whoever compares batch by batch usually has many more to come.
WORTH_COMPILING = 1 << 25
# Smaller work, in elements, is over before a thread has started.
WORTH_A_THREAD = 1 << 20
COMPILED = "parity.metrics._compiled"


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """n pairs of slices of two flat arrays.

    Attributes:
        reference: `(m,)`, any numeric dtype.
        candidate: `(k,)`, any numeric dtype.
        reference_starts: int64 `(n,)`.
        candidate_starts: int64 `(n,)`.
        lengths: int64 `(n,)`: numbers of elements.
        positions: int64 `(n,)`: where each slice begins within its tensor.
        rtol: float64 `(n,)`.
        atol: float64 `(n,)`.
    """

    reference: Array
    candidate: Array
    reference_starts: Array
    candidate_starts: Array
    lengths: Array
    positions: Array
    rtol: Array
    atol: Array

    def __getitem__(self, index: Any) -> Slices:
        return Slices(
            self.reference,
            self.candidate,
            self.reference_starts[index],
            self.candidate_starts[index],
            self.lengths[index],
            self.positions[index],
            self.rtol[index],
            self.atol[index],
        )

    def cut(self) -> tuple[Slices, Array]:
        """The same in blocks, and the number of the first block of each slice, int64 `(n,)`."""
        blocks = np.maximum(-(-self.lengths // BLOCK), 1)  # an empty slice is one empty block
        first = np.cumsum(blocks) - blocks
        if (blocks == 1).all():
            return self, first
        done = (np.arange(blocks.sum()) - np.repeat(first, blocks)) * BLOCK
        whole = self[np.repeat(np.arange(len(blocks)), blocks)]
        return (
            Slices(
                self.reference,
                self.candidate,
                whole.reference_starts + done,
                whole.candidate_starts + done,
                np.minimum(whole.lengths - done, BLOCK),
                whole.positions + done,
                whole.rtol,
                whole.atol,
            ),
            first,
        )


def may_compile(nbytes: int) -> bool:
    """Whether to use the compiled kernel for this much work: once it is loaded, always."""
    if COMPILED in sys.modules:
        return True
    return nbytes >= WORTH_COMPILING and find_spec("numba") is not None


def compare_slices(slices: Slices, *, threads: int | None, compiled: bool) -> PairStatistics:
    """Statistics of leading shape `(n,)`; the number of threads does not change a bit of them."""
    blocks, first = slices.cut()
    is_float32 = slices.reference.dtype == slices.candidate.dtype == np.dtype(np.float32)
    fast = compiled and is_float32
    kernel = _compare_compiled if fast else _compare_numpy
    # One core with the compiled kernel reads about as fast as memory delivers; a second one was
    # measured to gain nothing, and to lose where the machine is busy.
    shares = _shares(blocks.lengths, threads or (1 if fast else os.cpu_count() or 1))
    if len(shares) == 1:
        return kernel(blocks).segments(first)
    with ThreadPoolExecutor(len(shares)) as pool:
        parts = list(pool.map(lambda share: kernel(blocks[share]), shares))
    return PairStatistics.concatenate(parts).segments(first)


def _shares(lengths: Array, threads: int) -> list[slice]:
    """Consecutive blocks for each thread, of about the same number of elements."""
    ends = np.cumsum(lengths)
    threads = int(min(threads, max(1, ends[-1] // WORTH_A_THREAD)))
    goals = ends[-1] * np.arange(1, threads) // threads
    cuts = [0, *np.searchsorted(ends, goals).tolist(), len(lengths)]
    return [slice(a, b) for a, b in pairwise(cuts) if a < b]


def _compare_compiled(blocks: Slices) -> PairStatistics:
    from parity.metrics._compiled import compare_blocks  # noqa: PLC0415 - over a second to load

    stats = PairStatistics.zero(blocks.lengths.shape)
    sums = np.zeros((len(blocks.lengths), len(Sum)))
    compare_blocks(
        blocks.reference,
        blocks.candidate,
        blocks.reference_starts,
        blocks.candidate_starts,
        blocks.lengths,
        blocks.positions,
        blocks.rtol,
        blocks.atol,
        sums,
        stats.counts,
        stats.lows,
        stats.highs,
        stats.max_abs,
        stats.argmax,
        stats.first_nonfinite,
        stats.max_ulp,
    )
    return stats.with_sums(ExactSum.of(sums))


def _compare_numpy(blocks: Slices) -> PairStatistics:
    parts = [_compare_run(blocks[run]) for run in _runs(blocks.lengths)]
    return PairStatistics.concatenate(parts)


def _runs(lengths: Array) -> list[slice]:
    """Consecutive blocks that together have about the size of one."""
    bucket = (np.cumsum(lengths) - 1) // BLOCK
    cuts = [0, *(np.flatnonzero(np.diff(bucket)) + 1).tolist(), len(lengths)]
    return [slice(a, b) for a, b in pairwise(cuts)]


def _compare_run(blocks: Slices) -> PairStatistics:
    stats = PairStatistics.zero(blocks.lengths.shape)
    held = blocks.lengths > 0  # numpy's segmented reductions want no empty segment
    if not held.any():
        return stats
    if not held.all():
        return stats.with_rows(held, _compare_run(blocks[held]))
    return compare_segments(
        _gathered(blocks.reference, blocks.reference_starts, blocks.lengths),
        _gathered(blocks.candidate, blocks.candidate_starts, blocks.lengths),
        np.cumsum(blocks.lengths) - blocks.lengths,
        positions=blocks.positions,
        rtol=blocks.rtol,
        atol=blocks.atol,
    )


def _gathered(flat: Array, starts: Array, lengths: Array) -> Array:
    """The slices one after another; a view where they are that already."""
    if (starts[1:] == starts[:-1] + lengths[:-1]).all():
        return flat[starts[0] : starts[-1] + lengths[-1]]
    pieces = zip(starts.tolist(), lengths.tolist(), strict=True)
    return np.concatenate([flat[start : start + length] for start, length in pieces])
