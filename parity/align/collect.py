"""Gathers what was matched into an `Alignment`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from parity.align.join import Joined, stretches
from parity.align.notes import NoteBook
from parity.align.result import Alignment, Pairs, TapMatch, TensorView, ViewPair
from parity.align.series import Series, Side
from parity.align.structure import Elementwise

__all__ = ["Collector", "joined_views"]


class Collector:
    """Pairs, views and notes, as they are found.

    Args:
        reference: the reference's records.
        candidate: the candidate's records.
    """

    def __init__(self, reference: Side, candidate: Side) -> None:
        self.reference = reference
        self.candidate = candidate
        self.notes = NoteBook()
        self.matches: list[TapMatch] = []
        self._ours: list[int] = []
        self._theirs: list[int] = []
        self._views: list[ViewPair] = []
        self._settled: tuple[set[int], set[int]] = (set(), set())
        self._summed: list[int] = []
        self._parts: tuple[list[TensorView], list[TensorView]] = ([], [])

    def pair(self, reference: Iterable[int], candidate: Iterable[int]) -> None:
        """Whole tensors beside whole tensors."""
        self._ours.extend(reference)
        self._theirs.extend(candidate)

    def elementwise(
        self, reference: Series, candidate: Series, calls: Sequence[tuple[int, int]],
        how: Elementwise,
    ) -> None:  # fmt: skip
        """Call `i` of the reference beside call `j` of the candidate, for each `(i, j)`."""
        permutation = compose(candidate.permutation, how.permutation)
        if not permutation and not how.reshaped:
            self.pair(
                [reference.positions[i] for i, _ in calls],
                [candidate.positions[j] for _, j in calls],
            )
            return
        for i, j in calls:
            shape = reference.shapes[i] if how.reshaped else None
            self.view(
                TensorView(reference.positions[i]),
                TensorView(candidate.positions[j], permutation, shape),
            )

    def joined(self, reference: Series, candidate: Series, how: Joined) -> None:
        """The calls of both sides, end to end or overlapping."""
        frames, pieces = _frames_first(reference, candidate, how)
        if how.stride:
            self._overlapping(reference, candidate, how)
            return
        covered_frames = [0] * len(frames)
        covered_pieces = [0] * len(pieces)
        for one in stretches(how):
            covered_frames[one.frame] += one.length
            covered_pieces[one.piece] += one.length
        for pair in joined_views(reference, candidate, how):
            self.view(*pair)
        side = 0 if how.frame_is_reference else 1
        self._rest(side, frames, covered_frames, how.frames, how, piece=False)
        self._rest(1 - side, pieces, covered_pieces, how.pieces, how, piece=True)

    def _overlapping(self, reference: Series, candidate: Series, how: Joined) -> None:
        """All of it has its counterpart, but of some pieces nothing stands alone."""
        alone = set()
        for ours, theirs in joined_views(reference, candidate, how):
            self.view(ours, theirs)
            alone.add(ours.position)
        self._settled[0].update(reference.positions)
        self._settled[1].update(candidate.positions)
        self._summed += [position for position in reference.positions if position not in alone]

    def view(self, reference: TensorView, candidate: TensorView) -> None:
        """A part beside a part."""
        self._views.append(ViewPair(reference, candidate))
        self._settled[0].add(reference.position)
        self._settled[1].add(candidate.position)

    def _rest(
        self, side: int, series: Series, covered: Sequence[int], lengths: Sequence[int],
        how: Joined, *, piece: bool,
    ) -> None:  # fmt: skip
        """Note the uncovered part of each tensor that is covered in part."""
        at = 0 if not piece else how.offset
        begin = how.offset if not piece else 0
        for index, (done, length) in enumerate(zip(covered, lengths, strict=True)):
            if length == 0:
                self._settled[side].add(series.positions[index])
            elif 0 < done < length:
                view = _piece_view(series, index, how) if piece else _frame_view(series, index)
                first = max(begin - at, 0)
                for start, stop in ((0, first), (first + done, length)):
                    if start < stop:
                        self._parts[side].append(_cut(view, how, start, stop - start, length))
            at += length

    def result(self) -> Alignment:
        """Everything found so far."""
        order = np.argsort(np.array(self._ours, dtype=np.int64), kind="stable")
        pairs = Pairs(
            np.array(self._ours, dtype=np.int64)[order],
            np.array(self._theirs, dtype=np.int64)[order],
        )
        ours = self.reference.records
        views = sorted(self._views, key=lambda v: (ours[v.reference.position].order,
                                                   v.reference.start))  # fmt: skip
        return Alignment(
            pairs=pairs,
            views=tuple(views),
            missing=_left(len(ours), self._ours, self._settled[0]),
            extra=_left(len(self.candidate.records), self._theirs, self._settled[1]),
            summed=np.array(sorted(self._summed), dtype=np.int64),
            missing_parts=tuple(self._parts[0]),
            extra_parts=tuple(self._parts[1]),
            matches=tuple(self.matches),
            notes=self.notes.sentences(),
            reference_count=len(ours),
        )


def joined_views(
    reference: Series, candidate: Series, how: Joined
) -> list[tuple[TensorView, TensorView]]:
    """The parts of the reference and of the candidate that `how` puts beside each other."""
    frames, pieces = _frames_first(reference, candidate, how)
    views = []
    for one in stretches(how):
        frame = _cut(_frame_view(frames, one.frame), how, one.frame_start, one.length,
                     how.frames[one.frame])  # fmt: skip
        piece = _cut(_piece_view(pieces, one.piece, how), how, one.piece_start, one.length,
                     how.pieces[one.piece])  # fmt: skip
        views.append((frame, piece) if how.frame_is_reference else (piece, frame))
    return views


def _frames_first(reference: Series, candidate: Series, how: Joined) -> tuple[Series, Series]:
    return (reference, candidate) if how.frame_is_reference else (candidate, reference)


def compose(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that does `first`, then `second`; empty for none."""
    if not first or not second:
        return first or second
    return tuple(first[axis] for axis in second)


def _left(
    count: int, paired: Sequence[int], settled: set[int]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    free = np.ones(count, dtype=bool)
    free[np.array(paired, dtype=np.int64)] = False
    free[np.fromiter(settled, dtype=np.int64, count=len(settled))] = False
    return np.flatnonzero(free).astype(np.int64)


def _frame_view(series: Series, index: int) -> TensorView:
    return TensorView(series.positions[index], series.permutation)


def _piece_view(series: Series, index: int, how: Joined) -> TensorView:
    permutation = compose(series.permutation, how.permutation)
    stored = series.shapes[index]
    turned = tuple(stored[axis] for axis in how.permutation) if how.permutation else stored
    target = how.shapes[index]
    return TensorView(series.positions[index], permutation, None if turned == target else target)


def _cut(view: TensorView, how: Joined, start: int, length: int, whole: int) -> TensorView:
    if length == whole:
        return view
    return TensorView(view.position, view.permutation, view.shape, how.axis, start, start + length)
