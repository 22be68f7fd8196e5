"""Which axes a reshape merges and splits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Run", "runs_of"]


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring axes of a tensor that a reshape turns into neighbouring axes of its result.

    Attributes:
        before: extents of the axes that go in.
        after: extents of those that come out; as many elements.
        start: the first axis that goes in.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    start: int


def runs_of(before: Sequence[int], after: Sequence[int]) -> list[Run]:
    """The shortest runs of axes that hold the same elements on both sides; one to one included."""
    if 0 in (*before, *after) or math.prod(before) != math.prod(after):
        return []
    found: list[Run] = []
    i = j = 0
    while i < len(before) or j < len(after):
        start, last = i, j
        left = right = 1
        while True:
            if left == right and (i > start or j > last):
                break
            if left <= right and i < len(before):
                left *= before[i]
                i += 1
            elif j < len(after):
                right *= after[j]
                j += 1
            else:
                left *= before[i]
                i += 1
        found.append(Run(tuple(before[start:i]), tuple(after[last:j]), start))
    return found
