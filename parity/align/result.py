"""What an alignment says: which tensor, or part of one, stands beside which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

__all__ = ["Alignment", "Evidence", "Pairs", "TapMatch", "TensorView", "ViewPair"]

Array = np.ndarray[Any, np.dtype[Any]]
IntArray = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class TensorView:
    """One tensor of a capture, brought into another layout and cut to a part.

    The steps are done in the order of the attributes.

    Attributes:
        position: of its record in the sequence that was given to `align`.
        permutation: of the stored tensor's axes, as `numpy.transpose` takes it; empty for none.
        shape: to reshape to after that, in C order; None to keep the shape.
        axis: the axis that is cut.
        start: first index kept along `axis`.
        stop: end of what is kept along `axis`, exclusive; None to keep all of it.
    """

    position: int
    permutation: tuple[int, ...] = ()
    shape: tuple[int, ...] | None = None
    axis: int = 0
    start: int = 0
    stop: int | None = None

    def apply(self, array: Array) -> Array:
        """The part of `array`, the tensor of this record; a view of it where numpy can give one."""
        if self.permutation:
            array = array.transpose(self.permutation)
        if self.shape is not None:
            array = array.reshape(self.shape)
        if self.stop is None:
            return array
        return array[(slice(None),) * self.axis + (slice(self.start, self.stop),)]

    @property
    def words(self) -> str:
        """What was done to the tensor (`transposed (0, 2, 1), axis 1 [3:4]`); empty for nothing."""
        parts = []
        if self.permutation:
            parts.append(f"transposed {self.permutation}")
        if self.shape is not None:
            parts.append(f"as [{','.join(map(str, self.shape))}]")
        if self.stop is not None:
            parts.append(f"axis {self.axis} [{self.start}:{self.stop}]")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class ViewPair:
    """Two parts of equal shape that say the same thing."""

    reference: TensorView
    candidate: TensorView


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The tensors that stand beside each other as they are, as columns.

    Attributes:
        reference: int64[n], positions in the reference's records, ascending.
        candidate: int64[n], the positions of their counterparts.
    """

    reference: IntArray
    candidate: IntArray

    def __len__(self) -> int:
        return len(self.reference)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.reference.tolist(), self.candidate.tolist(), strict=True)


class Evidence(StrEnum):
    """What a match of two differently named taps rests on."""

    ROLE = "role"
    PHASE = "phase"
    CONTENT = "content"
    NAME = "name"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class TapMatch:
    """Two taps, all their calls together, that were matched by something else than equal names.

    Attributes:
        reference: `path:port@phase` of the reference's tap.
        candidate: the same of the candidate's, before renaming.
        evidence: what the match rests on.
        confidence: 0 to 1; 1 where a rule that the user gave or the name itself decides.
    """

    reference: str
    candidate: str
    evidence: Evidence
    confidence: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """Which tensors of the candidate stand beside which of the reference.

    A shape or element type that differs without an explanation stays a pair: it is for the
    comparison to say so. Positions are those in the sequences that were given to `align`.

    Attributes:
        pairs: whole tensors beside whole tensors.
        views: parts beside parts, where the two sides cut or lay out the same values differently;
            in order of the reference's execution.
        missing: int64[n], reference records of which nothing was matched, ascending.
        extra: int64[n], candidate records of which nothing was matched, ascending.
        summed: int64[n], reference records of which the candidate has only the sum with their
            neighbours', as where blocks of a transposed convolution overlap completely; ascending.
        missing_parts: parts without counterpart of reference tensors that are otherwise matched.
        extra_parts: the same of candidate tensors.
        matches: the taps that were matched by something else than equal names.
        notes: what was done, a sentence a kind of thing.
        reference_count: how many records the reference has.
    """

    pairs: Pairs
    views: tuple[ViewPair, ...]
    missing: IntArray
    extra: IntArray
    summed: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    missing_parts: tuple[TensorView, ...] = ()
    extra_parts: tuple[TensorView, ...] = ()
    matches: tuple[TapMatch, ...] = ()
    notes: tuple[str, ...] = ()
    reference_count: int = field(default=0)

    @property
    def coverage(self) -> float:
        """Share of the reference's records that stand beside something; 0 for no records."""
        if not self.reference_count:
            return 0.0
        matched = self.reference_count - len(self.missing) - len(self.summed)
        return matched / self.reference_count
