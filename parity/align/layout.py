"""Which reorderings of axes turn the shapes of one side into those of the other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

__all__ = ["axis_orders", "regroups"]

Shape = tuple[int, ...]

# 5! = 120 orders are tried quickly; no network's activations have more axes that are not 1.
MAX_LIVE_AXES = 5


def axis_orders(sources: Sequence[Shape], targets: Sequence[Shape]) -> list[tuple[int, ...]]:
    """The permutations that turn every source shape into its target, but for axes of length 1.

    Axes of length 1 come and go freely, so permutations that differ only in where they put an axis
    that is 1 in every source count as one.

    Args:
        sources: shapes of one rank.
        targets: as many shapes.

    Returns:
        The permutations, the identity first if it is among them.
    """
    pairs = set(zip(sources, targets, strict=True))
    rank = len(sources[0])
    if any(len(source) != rank for source, _ in pairs):
        return []
    live = [axis for axis in range(rank) if any(source[axis] != 1 for source, _ in pairs)]
    orders = permutations(live) if len(live) <= MAX_LIVE_AXES else [tuple(live)]
    return [_permutation(order, rank) for order in orders if _fits(order, pairs)]


def _fits(order: Sequence[int], pairs: set[tuple[Shape, Shape]]) -> bool:
    return all(
        [source[axis] for axis in order if source[axis] != 1] == [n for n in target if n != 1]
        for source, target in pairs
    )


def _permutation(order: Sequence[int], rank: int) -> tuple[int, ...]:
    """`order` with the axes that are not in it at their old places, as far as that goes."""
    moving = iter(order)
    return tuple(next(moving) if axis in order else axis for axis in range(rank))


def regroups(source: Shape, target: Shape) -> bool:
    """Whether one shape merges neighbouring axes of the other (`[2,3,4]` and `[6,4]`, or `[24]`).

    Then the elements are the same in C order. `[4,6]` and `[3,8]` have as many, and do not.
    """
    ours, theirs = [n for n in source if n != 1], [n for n in target if n != 1]
    if 0 in ours or 0 in theirs:
        return ours == theirs
    while ours and theirs:
        a, b = ours.pop(), theirs.pop()
        fine = ours if a < b else theirs
        small, large = min(a, b), max(a, b)
        while small < large and fine:
            small *= fine.pop()
        if small != large:
            return False
    return not ours and not theirs
