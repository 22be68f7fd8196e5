"""Verdicts of rows that cannot be judged by measured error alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from parity.diffing.rows import Row
from parity.tensors import Role, TensorStatistics
from parity.tolerance import Verdict, dtype_floor

__all__ = ["Decision", "decide_unmeasured"]

# Statistics carry the rounding of their own sums, whatever the tensor's type.
STATISTICS_NOISE = 1e-6


class Decision(NamedTuple):
    """What was concluded about one row without measuring it."""

    verdict: Verdict
    ok: bool
    reason: str
    compared: bool = False


def decide_unmeasured(row: Row, allow_missing: Sequence[str], *, any_dtype: bool) -> Decision:
    """Decide about a row whose tensors cannot be laid beside each other.

    Args:
        row: one side of it is absent, the shapes differ, or a tensor was not stored.
        allow_missing: globs over the taps that a candidate need not have, or over their
            ports (`lstm:output.1`).
        any_dtype: whether differing element types are accepted here.
    """
    reference, candidate = row.reference, row.candidate
    if candidate is None:
        return _missing(row, allow_missing)
    if reference is None:
        return Decision(Verdict.EXTRA, ok=True, reason="")
    if not row.same_shape:
        shapes = f"{list(reference.spec.shape)} became {list(candidate.spec.shape)}"
        return Decision(Verdict.SHAPE, ok=False, reason=f"shape {shapes}")
    if reference.spec.dtype != candidate.spec.dtype and not any_dtype:
        return Decision(Verdict.DTYPE, ok=False, reason=dtype_reason(row))
    return _by_record(row)


def dtype_reason(row: Row) -> str:
    """Why differing element types are not accepted."""
    assert row.reference is not None and row.candidate is not None  # noqa: S101, PT018
    ours, theirs = row.reference.spec.dtype, row.candidate.spec.dtype
    return f"type {ours} became {theirs} (a preset such as fp16 or bf16 accepts other types)"


def _missing(row: Row, allow_missing: Sequence[str]) -> Decision:
    names = row.key.path, f"{row.key.path}:{row.key.port}"
    if any(fnmatchcase(name, pattern) for pattern in allow_missing for name in names):
        return Decision(Verdict.MISSING, ok=True, reason="")
    return Decision(
        Verdict.MISSING,
        ok=False,
        reason="the candidate has no such tensor, and allow_missing does not name it",
    )


def _by_record(row: Row) -> Decision:
    """By digest or statistics, where at least one side kept no tensor."""
    reference, candidate = row.reference, row.candidate
    assert reference is not None and candidate is not None  # noqa: S101, PT018
    if reference.digest and reference.digest == candidate.digest and not row.piece:
        return Decision(Verdict.IDENTICAL, ok=True, reason="", compared=True)
    same_type = reference.spec.dtype == candidate.spec.dtype
    if reference.key.role is Role.PARAM and same_type and candidate.digest:
        # Weights are copied, not computed: no rounding explains other bits.
        reason = "the weights are not the same (their digests differ)"
        return Decision(Verdict.DIVERGENT, ok=False, reason=reason, compared=True)
    if row.piece or reference.statistics is None or candidate.statistics is None:
        return Decision(Verdict.UNDECIDED, ok=True, reason=_NOT_KEPT)
    floor = max(dtype_floor(reference.spec.dtype, candidate.spec.dtype), STATISTICS_NOISE)
    off = _largest_deviation(reference.statistics, candidate.statistics)
    if not off <= 2 * floor:
        reason = f"statistics differ by {off:.1e} of the norm; {_NOT_KEPT}"
        return Decision(Verdict.DIVERGENT, ok=False, reason=reason, compared=True)
    return Decision(Verdict.UNDECIDED, ok=True, reason=_NOT_KEPT)


_NOT_KEPT = "the tensors were not kept: record them with tier `tensor`"


def _largest_deviation(ours: TensorStatistics, theirs: TensorStatistics) -> float:
    """The largest difference of any statistic, relative to the root mean square; NaN fails."""
    counts = ("count", "nan_count", "inf_count")
    if any(getattr(ours, name) != getattr(theirs, name) for name in counts):
        return math.inf
    finite = ours.count - ours.nan_count - ours.inf_count
    if not finite:
        return 0.0
    scale = ours.l2 / math.sqrt(finite)
    values = [abs(getattr(ours, name) - getattr(theirs, name)) for name in ("mean", "std")]
    values += [abs(ours.l2 - theirs.l2) / math.sqrt(finite)]
    largest = max(values) if all(map(math.isfinite, values)) else math.nan
    return largest / scale if scale else (0.0 if largest == 0 else math.inf)
