"""From an alignment to rows: what stands beside what, and which of it can be measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from parity.align import Alignment, TensorView
from parity.diffing.source import TensorSource
from parity.tensors import TapKey, TapRecord, TensorSpec, Tier

__all__ = ["Row", "plan_rows"]


class Row(NamedTuple):
    """Two places that an alignment put beside each other, or one without counterpart.

    Attributes:
        reference: the reference's record, if there is one.
        candidate: the candidate's record, if there is one.
        left: where the reference's tensor lies: position, or view of the tensor there.
        right: where the candidate's lies.
    """

    reference: TapRecord | None
    candidate: TapRecord | None
    left: int | TensorView = -1
    right: int | TensorView = -1

    @property
    def key(self) -> TapKey:
        """The reference's name, or the candidate's where there is none."""
        record = self.reference or self.candidate
        assert record is not None  # noqa: S101 - a row has at least one side
        return record.key

    @property
    def piece(self) -> str:
        """Which part of a larger tensor this is, in words; empty for a whole one."""
        words = [
            f"{side} {where.words}"
            for side, where in (("reference", self.left), ("candidate", self.right))
            if isinstance(where, TensorView) and where.words
        ]
        return "; ".join(words)

    @property
    def stored(self) -> bool:
        """Whether both tensors were kept, and not only their statistics."""
        return all(
            r is not None and r.tier is Tier.TENSOR for r in (self.reference, self.candidate)
        )

    @property
    def same_shape(self) -> bool:
        """Whether both sides have one shape; views that an alignment paired always do."""
        if isinstance(self.left, TensorView) or isinstance(self.right, TensorView):
            return True
        return _shape(self.reference) == _shape(self.candidate)


def _shape(record: TapRecord | None) -> tuple[int, ...] | None:
    spec: TensorSpec | None = record.spec if record is not None else None
    return spec.shape if spec is not None else None


def plan_rows(
    reference: TensorSource,
    candidate: TensorSource,
    chosen: tuple[Sequence[int], Sequence[int]],
    alignment: Alignment,
) -> list[Row]:
    """All rows of a comparison, in the reference's execution order, extra tensors last.

    Args:
        reference: the reference's tensors.
        candidate: the candidate's tensors.
        chosen: positions in their records of what the alignment was given, by side.
        alignment: what it found.
    """
    ours, theirs = chosen

    def left(where: int | TensorView) -> tuple[TapRecord, int | TensorView]:
        return _locate(reference, ours, where)

    def right(where: int | TensorView) -> tuple[TapRecord, int | TensorView]:
        return _locate(candidate, theirs, where)

    rows = [
        Row(reference.records[ours[i]], candidate.records[theirs[j]], ours[i], theirs[j])
        for i, j in alignment.pairs
    ]
    further = [_pair(left(view.reference), right(view.candidate)) for view in alignment.views]
    for where in (*alignment.missing.tolist(), *alignment.missing_parts):
        record, place = left(where)
        further.append(Row(record, None, left=place))
    if further:
        # The pairs alone are in order already.
        rows = sorted(rows + further, key=_execution)
    for where in (*alignment.extra.tolist(), *alignment.extra_parts):
        record, place = right(where)
        rows.append(Row(None, record, right=place))
    return rows


def _pair(
    left: tuple[TapRecord, int | TensorView], right: tuple[TapRecord, int | TensorView]
) -> Row:
    return Row(left[0], right[0], left[1], right[1])


def _locate(
    source: TensorSource, chosen: Sequence[int], where: int | TensorView
) -> tuple[TapRecord, int | TensorView]:
    """The record that an alignment means, and its place in the whole source."""
    if isinstance(where, int):
        position = chosen[where]
        return source.records[position], position
    position = chosen[where.position]
    moved = TensorView(
        position, where.permutation, where.shape, where.axis, where.start, where.stop
    )
    return source.records[position], moved


def _execution(row: Row) -> tuple[int, int]:
    assert row.reference is not None  # noqa: S101 - extra rows are added after sorting
    start = row.left.start if isinstance(row.left, TensorView) else 0
    return row.reference.order, start
