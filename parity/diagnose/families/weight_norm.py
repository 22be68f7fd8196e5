"""Weights kept as direction and length, and folded in another way.

A site is a weight computed of two parameters whose slices have the lengths that one of them holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import torch

from parity.diagnose.constants import Constants, constants_of
from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "weights"


def propose(view: View) -> Iterator[Hypothesis]:
    """Lengths left out, applied to what was not normalised, or taken over other axes."""
    constants = constants_of(view)
    for node in view.nodes:
        if len(node.outputs) != 1:
            continue
        weight = node.outputs[0]
        if not constants.constant(weight) or len(view.shape(weight)) < 2:
            continue
        parts = _parts(view, constants, weight)
        if parts is not None and _normalised(view, *parts, weight):
            yield from _folded(view, node, *parts)


def _parts(view: View, constants: Constants, weight: int) -> tuple[int, int] | None:
    """The parameters that hold the direction and the lengths of a weight."""
    names = sorted(constants.parameters(weight))
    if len(names) != 2 or not view.has(weight):
        return None
    sizes = [view.tape.leaves[v].tensor.numel() for v in names]
    v, g = names if sizes[0] >= sizes[1] else (names[1], names[0])
    if view.shape(v) != view.shape(weight) or not view.tape.leaves[g].tensor.numel() >= 1:
        return None
    return v, g


def _axes(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Sets of axes, all of them first; axes of one element make no difference."""
    long = [axis for axis, n in enumerate(shape) if n > 1]
    for count in range(len(long), 0, -1):
        yield from combinations(long, count)


def _normalised(view: View, v: int, g: int, weight: int) -> bool:
    """Whether the weight is a direction times lengths, over some of the axes."""
    made, length = view.value(weight), view.value(g)
    return _kept(made, length) is not None and _same_direction(made, view.value(v))


def _length(w: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Length of each slice of w over `axes`, which are kept."""
    return w.square().sum(dim=axes, keepdim=True).sqrt()


def _kept(w: Tensor, g: Tensor) -> tuple[int, ...] | None:
    """The axes over which slices of w `(...)` have the lengths |g|."""
    for axes in _axes(tuple(w.shape)):
        norm = _length(w, axes)
        if norm.numel() == g.numel() and torch.allclose(
            norm.flatten(), g.abs().flatten(), 1e-3, 1e-6
        ):
            return axes
    return None


def _same_direction(w: Tensor, v: Tensor) -> bool:
    """Whether no element changed its sign against others of its slice: scaled, not mixed."""
    return bool(torch.isfinite(w).all()) and bool((w * v >= 0).all() or (w * v <= 0).any())


def _folded(view: View, node: Node, v: int, g: int) -> Iterator[Hypothesis]:
    made, length = view.value(node.outputs[0]), view.value(g)
    axes = _kept(made, length)
    if axes is None:
        return
    rest = [n if i not in axes else 1 for i, n in enumerate(made.shape)]

    def broad(t: Tensor) -> Tensor:
        return t.reshape(rest)

    def norm(t: Tensor, over: tuple[int, ...]) -> Tensor:
        return _length(t, over).clamp_min(1e-30)

    options: list[tuple[str, Callable[[Tensor, Tensor], Tensor], float]] = [
        ("direction without length", lambda d, _: d / norm(d, axes), 1.1),
        ("length times direction, not normalised", lambda d, s: d * broad(s), 1.1),
        ("direction not normalised, no length", lambda d, _: d, 1.1),
        ("eps added to the norm", lambda d, s: d * broad(s) / (norm(d, axes) + 1e-5), 1.6),
        ("divided by the squared norm", lambda d, s: d * broad(s) / norm(d, axes) ** 2, 1.6),
        ("length as a logarithm", lambda d, s: d * broad(s.exp()) / norm(d, axes), 1.7),
    ]
    long = len([n for n in made.shape if n > 1])
    options += [
        _over(other, long, broad, norm) for other in _axes(tuple(made.shape)) if other != axes
    ]
    for label, fold, cost in options:
        yield Hypothesis(
            NAME, "norm", "weight norm folded by slice", label,
            view.site(node), (_edit(node, v, g, fold),), cost=cost,
        )  # fmt: skip


def _over(
    axes: tuple[int, ...],
    dims: int,
    broad: Callable[[Tensor], Tensor],
    norm: Callable[[Tensor, tuple[int, ...]], Tensor],
) -> tuple[str, Callable[[Tensor, Tensor], Tensor], float]:
    what = "the whole tensor" if len(axes) == dims else "axes " + ", ".join(map(str, axes))
    return (f"norm over {what}", lambda d, s: d * broad(s) / norm(d, axes), 1.2)


def _edit(node: Node, v: int, g: int, fold: Callable[[Tensor, Tensor], Tensor]) -> Edit:
    def apply(operands: Operands) -> Tensor:
        direction, length = operands.reads
        return fold(direction, length)

    return Edit(node.index, apply, (v, g))
