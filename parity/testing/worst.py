"""The elements of two tensors that differ most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["WorstElement", "worst_elements"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class WorstElement:
    """One element of both tensors.

    Attributes:
        index: where it is, one number an axis.
        reference: the reference's value.
        candidate: the candidate's value.
    """

    index: tuple[int, ...]
    reference: complex | float
    candidate: complex | float

    @property
    def difference(self) -> complex | float:
        """Candidate minus reference."""
        return self.candidate - self.reference


def worst_elements(reference: Array, candidate: Array, count: int = 5) -> list[WorstElement]:
    """The `count` elements with the largest difference, largest first; equal ones are left out.

    A number that is NaN or infinite on one side only, or infinite with another sign, differs most.

    Args:
        reference: any shape.
        candidate: the same shape.
        count: how many at most.
    """
    if reference.dtype == candidate.dtype and reference.dtype.kind in "iu":
        ours, theirs = reference.reshape(-1), candidate.reshape(-1)
        size = _distance(ours, theirs)
    else:
        ours, theirs = _wide(reference), _wide(candidate)
        with np.errstate(invalid="ignore", over="ignore"):
            size = np.abs(theirs - ours)
    agree = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    size = np.where(agree, 0.0, np.where(np.isnan(size), np.inf, size))
    count = min(count, size.size)
    places = np.argpartition(-size, count - 1)[:count] if count else np.array([], int)
    places = places[np.lexsort((places, -size[places]))]
    return [
        WorstElement(
            tuple(int(i) for i in np.unravel_index(int(place), reference.shape)),
            ours[place].item(),
            theirs[place].item(),
        )
        for place in places
        if size[place] > 0
    ]


def _distance(ours: Array, theirs: Array) -> Array:
    """How far whole numbers are apart, also where float64 would round them to the same."""
    wide = np.uint64 if ours.dtype.kind == "u" else np.int64
    # Whatever the signs, the difference of the larger and the smaller fits modulo 2**64.
    larger = np.maximum(ours, theirs).astype(wide).view(np.uint64)
    smaller = np.minimum(ours, theirs).astype(wide).view(np.uint64)
    return (larger - smaller).astype(np.float64)


def _wide(array: Array) -> Array:
    wide = np.complex128 if array.dtype.kind == "c" else np.float64
    return array.astype(wide).reshape(-1)
