"""How the calls of one tap on both sides relate: reordered axes, regrouped axes, joined calls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from parity.align.layout import axis_orders, regroups

__all__ = ["Elementwise", "Joined", "Overlap", "elementwise", "join", "overlaps"]

Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]

# A block and the steps that cover less than half of it are no two ways to compute one thing.
MIN_SHARE = 0.5
# Nor are runs of nearly as many calls, some of which differ in length.
MIN_STEPS = 2


@dataclass(frozen=True, slots=True)
class Elementwise:
    """One call stands beside one call.

    Attributes:
        permutation: of the candidate's axes; empty for none.
        reshaped: whether axes of length 1, or merged neighbours, differ as well.
        merged: whether neighbouring axes are merged on one side.
    """

    permutation: tuple[int, ...] = ()
    reshaped: bool = False
    merged: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """The calls of both sides, laid end to end along an axis, hold the same values.

    The frame is the side with fewer calls; the tensors of the other side, the pieces, are brought
    into its layout.

    Attributes:
        frame_is_reference: which side is the frame.
        axis: of the frame's tensors.
        permutation: of the pieces' axes; empty for none.
        frames: length of each frame along `axis`.
        pieces: length of each piece along `axis`.
        shapes: what each piece is reshaped to.
        offset: where in the frame's coordinates the first piece begins.
    """

    frame_is_reference: bool
    axis: int
    permutation: tuple[int, ...]
    frames: tuple[int, ...]
    pieces: tuple[int, ...]
    shapes: Shapes
    offset: int = 0

    @property
    def complete(self) -> bool:
        """Whether every element of both sides has its counterpart."""
        return self.offset == 0 and sum(self.frames) == sum(self.pieces)


@dataclass(frozen=True, slots=True)
class Overlap:
    """A stretch that a frame and a piece have in common, in coordinates of each."""

    frame: int
    frame_start: int
    piece: int
    piece_start: int
    length: int


@lru_cache(maxsize=4096)
def elementwise(
    reference: Shapes, candidate: Shapes, *, permuted: bool = True
) -> tuple[Elementwise, ...]:
    """The ways in which each candidate shape becomes the reference's; none, one, or ambiguous.

    Args:
        reference: shapes.
        candidate: as many.
        permuted: whether the order of axes may differ.
    """
    if reference == candidate:
        return (Elementwise(),)
    identity = tuple(range(len(candidate[0])))
    orders = axis_orders(candidate, reference)
    if identity in orders:
        return (Elementwise(reshaped=True),)
    if orders and permuted:
        return tuple(_reordered(order, reference, candidate) for order in orders)
    pairs = set(zip(candidate, reference, strict=True))
    if all(regroups(source, target) for source, target in pairs):
        return (Elementwise(reshaped=True, merged=True),)
    return ()


def _reordered(order: tuple[int, ...], reference: Shapes, candidate: Shapes) -> Elementwise:
    turned = tuple(tuple(shape[axis] for axis in order) for shape in candidate)
    return Elementwise(order, reshaped=turned != reference)


@lru_cache(maxsize=4096)
def join(
    reference: Shapes, candidate: Shapes, *, permuted: bool = True, partial: bool = False
) -> tuple[Joined, ...]:
    """The ways in which the calls of both sides can be laid end to end; none, one, or ambiguous.

    Ways that keep the shapes are preferred to those that add or drop axes of length 1, and those to
    ways that change the order of axes; only the best kind is returned.

    Args:
        reference: shapes of its calls, in order.
        candidate: shapes of its calls, in order.
        permuted: whether the order of axes may differ.
        partial: look instead for calls of equal length that cover a part of the other side.
    """
    if len(reference) == len(candidate) == 1:
        return ()
    frame_is_reference = len(reference) <= len(candidate)
    frames, pieces = (reference, candidate) if frame_is_reference else (candidate, reference)
    if len({len(shape) for shape in frames}) > 1 or len({len(shape) for shape in pieces}) > 1:
        return ()
    ranked: dict[int, list[Joined]] = {}
    for axis in range(len(frames[0])):
        for rank, permutation, lengths, targets in _along(frames, pieces, axis):
            option = Joined(frame_is_reference, axis, permutation,
                            tuple(shape[axis] for shape in frames), lengths, targets)  # fmt: skip
            if (permuted or rank < 2) and _covers(option, partial=partial):
                ranked.setdefault(rank, []).append(option)
    return tuple(ranked[min(ranked)]) if ranked else ()


def _covers(option: Joined, *, partial: bool) -> bool:
    frames, pieces = sum(option.frames), sum(option.pieces)
    if not partial:
        return frames == pieces
    steps, blocks = len(option.pieces), len(option.frames)
    if len(set(option.pieces)) > 1 or not pieces or not frames or steps < MIN_STEPS * blocks:
        return False
    return min(frames, pieces) >= MIN_SHARE * max(frames, pieces)


def _along(
    frames: Shapes, pieces: Shapes, axis: int
) -> list[tuple[int, tuple[int, ...], tuple[int, ...], Shapes]]:
    """For one axis: how far each way departs from the stored shapes, its permutation, lengths."""
    head, tail = frames[0][:axis], frames[0][axis + 1 :]
    if any(shape[:axis] != head or shape[axis + 1 :] != tail for shape in frames):
        return []
    across = math.prod(head) * math.prod(tail)
    if across == 0 or any(math.prod(shape) % across for shape in pieces):
        return []
    lengths = tuple(math.prod(shape) // across for shape in pieces)
    targets = tuple((*head, length, *tail) for length in lengths)
    if targets == pieces:
        return [(0, (), lengths, targets)]
    identity = tuple(range(len(pieces[0])))
    return [
        (1, (), lengths, targets) if order == identity else (2, order, lengths, targets)
        for order in axis_orders(pieces, targets)
    ]


def overlaps(joined: Joined) -> list[Overlap]:
    """The stretches along the axis that lie in one frame and one piece, in order."""
    frame_ends = list(accumulate(joined.frames))
    piece_ends = [joined.offset + end for end in accumulate(joined.pieces)]
    found = []
    frame = piece = 0
    while frame < len(frame_ends) and piece < len(piece_ends):
        frame_start = frame_ends[frame] - joined.frames[frame]
        piece_start = piece_ends[piece] - joined.pieces[piece]
        start, stop = max(frame_start, piece_start), min(frame_ends[frame], piece_ends[piece])
        if start < stop:
            found.append(
                Overlap(frame, start - frame_start, piece, start - piece_start, stop - start)
            )
        if frame_ends[frame] <= piece_ends[piece]:
            frame += 1
        else:
            piece += 1
    return found
