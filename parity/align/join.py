"""How calls of one tap make up those of the other side: laid end to end, or overlapping."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

from parity.align.layout import axis_orders

__all__ = ["Joined", "Stretch", "join", "overlap", "stretches"]

Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]

# A block and the steps that cover less than half of it are no two ways to compute one thing.
MIN_SHARE = 0.5
# Nor are runs of nearly as many calls, some of which differ in length.
MIN_STEPS = 2
MAX_FEWER = 2


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
        stride: from where one piece begins to where the next does; 0 where they lie end to end.
        summed: whether pieces that overlap are added up there, so that only what one piece alone
            contributes can be compared.
    """

    frame_is_reference: bool
    axis: int
    permutation: tuple[int, ...]
    frames: tuple[int, ...]
    pieces: tuple[int, ...]
    shapes: Shapes
    offset: int = 0
    stride: int = 0
    summed: bool = False

    @property
    def complete(self) -> bool:
        """Whether every element of both sides has its counterpart."""
        return bool(self.stride) or (self.offset == 0 and sum(self.frames) == sum(self.pieces))


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch that a frame and a piece have in common, in coordinates of each."""

    frame: int
    frame_start: int
    piece: int
    piece_start: int
    length: int


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
    ranked = _ranked(reference, candidate, permuted=permuted)
    for rank in sorted(ranked):
        found = [option for option in ranked[rank] if _covers(option, partial=partial)]
        if found:
            return tuple(found)
    return ()


def _ranked(reference: Shapes, candidate: Shapes, *, permuted: bool) -> dict[int, list[Joined]]:
    """The ways to bring pieces into the layout of frames, by how far they depart from theirs."""
    frame_is_reference = len(reference) <= len(candidate)
    frames, pieces = (reference, candidate) if frame_is_reference else (candidate, reference)
    if len({len(shape) for shape in frames}) > 1 or len({len(shape) for shape in pieces}) > 1:
        return {}
    ranked: dict[int, list[Joined]] = {}
    for axis in range(len(frames[0])):
        for rank, permutation, lengths, targets in _along(frames, pieces, axis):
            if permuted or rank < 2:
                ranked.setdefault(rank, []).append(
                    Joined(
                        frame_is_reference, axis, permutation,
                        tuple(shape[axis] for shape in frames), lengths, targets,
                    )
                )  # fmt: skip
    return ranked


@lru_cache(maxsize=4096)
def overlap(
    reference: Shapes,
    candidate: Shapes,
    *,
    permuted: bool = True,
    summed: bool = True,
    doubtful: bool = False,
) -> tuple[Joined, ...]:
    """The ways in which equally long calls of one side overlap to the fewer calls of the other.

    So do the outputs of a streamed transposed convolution, which are added up where they overlap,
    and the inputs of a streamed convolution, which are not.

    Args:
        reference: shapes of its calls, in order.
        candidate: shapes of its calls, in order.
        permuted: whether the order of axes may differ.
        summed: whether they are added up.
        doubtful: look instead for those that could as well be a few calls less, end to end, so
            that values must decide.
    """
    if len(reference) == len(candidate):
        return ()
    ranked = _ranked(reference, candidate, permuted=permuted)
    for rank in sorted(ranked):
        found = [
            replace(option, stride=stride, summed=summed)
            for option in ranked[rank]
            if (stride := _stride(option)) and _could_be_fewer(option) is doubtful
        ]
        if found:
            return tuple(found)
    return ()


def _stride(option: Joined) -> int:
    """The stride at which the pieces fill the frames with overlaps; 0 where there is none.

    Each frame holds `(frame - piece) / stride + 1` pieces, and all of them together every piece.
    """
    frames, length, count = option.frames, option.pieces[0], len(option.pieces)
    stride, rest = divmod(sum(frames) - len(frames) * length, count - len(frames))
    if len(set(option.pieces)) > 1 or rest or not length <= 2 * stride < 2 * length:
        return 0
    if any(frame < length or (frame - length) % stride for frame in frames):
        return 0
    return stride


def _could_be_fewer(option: Joined) -> bool:
    """Whether the frames are as long as a few pieces less, laid end to end."""
    length = option.pieces[0]
    fewer = len(option.pieces) - sum(option.frames) // length
    return all(frame % length == 0 for frame in option.frames) and fewer <= MAX_FEWER


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


def stretches(joined: Joined) -> list[Stretch]:
    """The stretches along the axis that lie in one frame and one piece, in order."""
    if joined.stride:
        return _overlapping_stretches(joined)
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
                Stretch(frame, start - frame_start, piece, start - piece_start, stop - start)
            )
        if frame_ends[frame] <= piece_ends[piece]:
            frame += 1
        else:
            piece += 1
    return found


def _overlapping_stretches(joined: Joined) -> list[Stretch]:
    length, stride = joined.pieces[0], joined.stride
    shared = length - stride if joined.summed else 0
    found, first = [], 0
    for frame, whole in enumerate(joined.frames):
        count = (whole - length) // stride + 1
        for place in range(count):
            start = shared if place else 0
            stop = length if place == count - 1 else length - shared
            if start < stop:
                found.append(
                    Stretch(frame, place * stride + start, first + place, start, stop - start)
                )
        first += count
    return found
