"""Fills the table of a result: measures what can be measured, decides about the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from typing import Any

import numpy as np

from parity.align import TensorView
from parity.diffing.measure import Pair, Progress, measure
from parity.diffing.noise import RowFloors, row_floors
from parity.diffing.result import DiffTable
from parity.diffing.rows import Row
from parity.diffing.source import TensorSource
from parity.diffing.verdicts import Decision, decide_unmeasured, dtype_reason
from parity.metrics import Metrics, metrics
from parity.tensors import Role
from parity.tolerance import Rule, Tolerance, Verdict, judge

__all__ = ["Measured", "build_table"]

Array = np.ndarray[Any, np.dtype[Any]]
# In a larger tensor, a few elements near zero do not make the whole norm small.
FEW_ELEMENTS = 16
# Three digits lost to cancellation are rare; beyond, an error is a finding.
MOST_CANCELLATION = 1e3
COLUMNS = tuple(field.name for field in fields_of(Metrics))


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """The rows that were compared by value: their positions, and their metrics.

    `telling_digests` counts further rows, equal by digest, whose tensors hold more than one value.
    `noise` has the floors of all rows.
    """

    positions: Array
    metrics: Metrics
    telling_digests: int
    noise: RowFloors


def build_table(
    rows: Sequence[Row],
    sources: tuple[TensorSource, TensorSource],
    tolerance: Tolerance,
    allow_missing: Sequence[str] = (),
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[DiffTable, Measured]:
    """Measure and judge every row.

    Args:
        rows: in the order in which they shall appear.
        sources: the reference's and the candidate's tensors.
        tolerance: the rules to judge by.
        allow_missing: globs over the taps that the candidate need not have, or over their
            ports (`lstm:output.1`).
        threads: to compare with; by default as many as pay (see `parity.metrics`).
        progress: called with how many of how many tensors are done.
    """
    positions = np.array([i for i, row in enumerate(rows) if row.stored and row.same_shape], int)
    pairs: list[Pair] = [(rows[i].left, rows[i].right) for i in positions.tolist()]
    paths = [row.key.path for row in rows]
    chosen = [paths[i] for i in positions.tolist()]
    statistics = measure(
        *sources, pairs, tolerance.element_tolerances(chosen), threads=threads, progress=progress
    )
    rules = tolerance.rules_for(paths)
    noise = row_floors(rows, sources[0], rules)
    measured = Measured(positions, metrics(statistics), _telling_digests(rows), noise)
    noise.floor[positions] *= _cancellation([rows[i] for i in positions.tolist()], measured.metrics)
    decisions = _decide(rows, measured, rules, allow_missing)
    return _assemble(rows, sources, measured, decisions), measured


def _telling_digests(rows: Sequence[Row]) -> int:
    found = 0
    for row in rows:
        ours, theirs = row.reference, row.candidate
        if not row.stored and ours is not None and theirs is not None and ours.statistics:
            same = bool(ours.digest) and ours.digest == theirs.digest
            found += same and ours.key.role is not Role.PARAM and ours.statistics.std > 0
    return found


def _cancellation(rows: Sequence[Row], found: Metrics) -> Array:
    """How much larger than its own size a tensor's rounding error may be, 1 or more.

    A tensor of few elements, such as one logit, can come out near zero by cancellation; its
    rounding error is that of the terms it was added up from. What the same tap holds in its other
    calls tells their size: the median of its norms, which no few large calls can raise.

    Args:
        rows: the compared rows.
        found: their metrics, of shape `(len(rows),)`.

    Returns:
        float64 `(len(rows),)`.
    """
    factors = np.ones(len(rows))
    taps: dict[tuple[str, str], list[int]] = {}
    for i in np.flatnonzero((found.count > 0) & (found.count <= FEW_ELEMENTS)).tolist():
        key = rows[i].key
        taps.setdefault((key.path, key.port), []).append(i)
    for calls in taps.values():
        norms = np.nan_to_num(found.reference_norm[calls])
        typical = float(np.median(norms))
        own = np.where(norms > 0, norms, typical or 1.0)
        factors[calls] = np.clip(typical / own, 1.0, MOST_CANCELLATION)
    return factors


def _decide(
    rows: Sequence[Row],
    measured: Measured,
    rules: Sequence[Rule],
    allow_missing: Sequence[str],
) -> list[Decision]:
    """One decision a row."""
    by_value = measured.positions.tolist()
    judged = judge(
        measured.metrics,
        measured.noise.floor[by_value],
        [rules[i] for i in by_value],
        calibrated=measured.noise.calibrated[by_value],
    )
    decisions: list[Decision | None] = [None] * len(rows)
    for i, verdict, ok, reason in zip(
        by_value, judged.verdicts, judged.ok.tolist(), judged.reasons, strict=True
    ):
        decisions[i] = Decision(verdict, ok, reason, compared=True)
        if not rules[i].any_dtype and _types_differ(rows[i]):
            decisions[i] = Decision(Verdict.DTYPE, False, dtype_reason(rows[i]), compared=True)
    return [
        decision or decide_unmeasured(row, allow_missing, any_dtype=rule.any_dtype)
        for decision, row, rule in zip(decisions, rows, rules, strict=True)
    ]


def _types_differ(row: Row) -> bool:
    ours, theirs = row.reference, row.candidate
    return ours is not None and theirs is not None and ours.spec.dtype != theirs.spec.dtype


def _assemble(
    rows: Sequence[Row],
    sources: tuple[TensorSource, TensorSource],
    measured: Measured,
    decisions: Sequence[Decision],
) -> DiffTable:
    after_all = max((row.reference.order for row in rows if row.reference), default=-1) + 1
    columns = {name: np.full(len(rows), math.nan) for name in COLUMNS}
    for name, column in columns.items():
        column[measured.positions] = getattr(measured.metrics, name)
    same = [i for i, d in enumerate(decisions) if d.compared and d.verdict is Verdict.IDENTICAL]
    for name in ("rel_l2", "max_abs"):
        # Equal digests, without the tensors: no error, and no other metric is known.
        column = columns[name]
        column[same] = np.where(np.isnan(column[same]), 0.0, column[same])
    return DiffTable(
        keys=[row.key for row in rows],
        candidate_keys=[row.candidate.key if row.candidate else None for row in rows],
        references=[row.reference.spec if row.reference else None for row in rows],
        candidates=[row.candidate.spec if row.candidate else None for row in rows],
        verdicts=[decision.verdict for decision in decisions],
        reasons=[decision.reason for decision in decisions],
        sources=[row.reference.source if row.reference else "" for row in rows],
        pieces=[row.piece for row in rows],
        order=np.array([r.reference.order if r.reference else after_all for r in rows], np.int64),
        step=np.array([(r.reference or r.candidate).step for r in rows], np.int64),  # type: ignore[union-attr]
        ok=np.array([decision.ok for decision in decisions], np.bool_),
        compared=np.array([decision.compared for decision in decisions], np.bool_),
        floor=measured.noise.floor,
        reference_s=_seconds([row.reference for row in rows]),
        candidate_s=_seconds([row.candidate for row in rows]),
        reference_gap_s=_gaps(sources[0], [row.left for row in rows]),
        candidate_gap_s=_gaps(sources[1], [row.right for row in rows]),
        metrics=columns,
        calibrated=measured.noise.calibrated,
    )


def _seconds(records: Sequence[Any]) -> Array:
    return np.array([r.duration_s if r is not None else math.nan for r in records], np.float64)


def _gaps(source: TensorSource, places: Sequence[int | TensorView]) -> Array:
    """Seconds since the tensor before in the same thread; NaN for parts, and for what is absent."""
    records = source.records
    threads = np.array([record.thread for record in records], np.int64)
    times = np.array([record.time_s for record in records], np.float64)
    gaps = np.full(len(records) + 1, math.nan)
    for thread in np.unique(threads):
        members = np.flatnonzero(threads == thread)
        gaps[members[1:]] = np.diff(times[members])
    # The last place is for rows that this side has nothing whole for.
    return gaps[[place if isinstance(place, int) else -1 for place in places]]
