"""Evidence from values: statistics out of the index, and a few tensors read to be sure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from parity.tensors import TapRecord

__all__ = ["Reader", "clear_winner", "correlation", "distance", "fingerprint", "pooled"]

Array = np.ndarray[Any, np.dtype[Any]]
Read = Callable[[TapRecord], Array]

# Mean, std, min, max, root mean square.
FEATURES = 5
SAMPLE = 1 << 18


def fingerprint(record: TapRecord) -> Array:
    """Five statistics of a tensor that no reordering of its elements changes.

    Returns:
        float64[5]: mean, std, min, max, root mean square; NaN where the index has none.
    """
    return pooled([record])


def pooled(records: Iterable[TapRecord]) -> Array:
    """`fingerprint` of all elements of several tensors together, however they are cut."""
    statistics = [record.statistics for record in records]
    known = [s for s in statistics if s is not None and s.count > s.nan_count + s.inf_count]
    if not known or len(known) < len(statistics):
        return np.full(FEATURES, math.nan)
    finite = sum(s.count - s.nan_count - s.inf_count for s in known)
    mean = sum(s.mean * (s.count - s.nan_count - s.inf_count) for s in known) / finite
    rms = math.hypot(*(s.l2 for s in known)) / math.sqrt(finite)
    std = math.sqrt(max(rms * rms - mean * mean, 0.0))
    return np.array([mean, std, min(s.min for s in known), max(s.max for s in known), rms])


def distance(ours: Array, theirs: Array) -> Array:
    """How far fingerprints lie apart: 0 for equal, about 1 for unrelated, 1 where one is unknown.

    The largest difference of a statistic, in units of the largest magnitude among both, so that
    it does not depend on the tensors' scale.

    Args:
        ours: float64[..., 5].
        theirs: float64[..., 5], broadcast against `ours`.
    """
    scale = np.maximum(np.abs(ours).max(axis=-1), np.abs(theirs).max(axis=-1))
    apart = np.abs(ours - theirs).max(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(apart == 0, 0.0, apart / scale)
    return np.where(np.isfinite(ratio), np.minimum(ratio, 1.0), 1.0)


def correlation(ours: Array, theirs: Array) -> float:
    """Pearson's correlation of two tensors of equal shape, from at most 2**18 of their elements.

    NaN where a shape differs, or fewer than two elements are finite or vary.
    """
    if ours.shape != theirs.shape or ours.size < 2:
        return math.nan
    stride = -(-ours.size // SAMPLE)
    a = _flat(ours)[::stride]
    b = _flat(theirs)[::stride]
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    if a.size < 2:
        return math.nan
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm > 0 else math.nan


def _flat(array: Array) -> Array:
    if array.dtype.kind == "c":
        array = np.abs(array)
    return np.asarray(array, dtype=np.float64).reshape(-1)


class Reader:
    """Reads tensors to decide between choices, and stops when it has read enough.

    Args:
        reference: gives the tensor of a reference record; None where values cannot be read.
        candidate: the same for the candidate.
        budget: how many tensors may be read.
    """

    def __init__(self, reference: Read | None, candidate: Read | None, *, budget: int = 128):
        self._read = (reference, candidate)
        self._budget = budget
        self._kept: dict[tuple[int, int], Array] = {}

    @property
    def available(self) -> bool:
        """Whether values can be read on both sides, and some may still be."""
        return None not in self._read and self._budget > 0

    def reference(self, record: TapRecord) -> Array:
        """The tensor of a reference record; read only while `available`."""
        return self._tensor(0, record)

    def candidate(self, record: TapRecord) -> Array:
        """The tensor of a candidate record; read only while `available`."""
        return self._tensor(1, record)

    def _tensor(self, side: int, record: TapRecord) -> Array:
        key = (side, record.order)
        if key not in self._kept:
            read = self._read[side]
            assert read is not None, "callers ask `available` first"  # noqa: S101
            self._budget -= 1
            if len(self._kept) >= 8:
                self._kept.pop(next(iter(self._kept)))
            # The caller's array may be a view that lives only until the next read.
            self._kept[key] = np.array(read(record))
        return self._kept[key]


def clear_winner(scores: Sequence[float]) -> int | None:
    """The index of a correlation above 0.9 that no other comes near; None where there is none.

    Near is what falls short of 1 by less than four times as much.
    """
    short = [math.inf if math.isnan(score) else max(1.0 - score, 1e-12) for score in scores]
    best = min(range(len(short)), key=short.__getitem__)
    others = short[:best] + short[best + 1 :]
    return best if short[best] < 0.1 and all(o > 4 * short[best] for o in others) else None
