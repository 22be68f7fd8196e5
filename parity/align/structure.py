"""How whole calls of one tap relate to each other: by the order of their axes, or its grouping."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from parity.align.layout import axis_orders, regroups

__all__ = ["Elementwise", "elementwise"]

Shape = tuple[int, ...]
Shapes = tuple[Shape, ...]


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
