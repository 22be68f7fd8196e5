"""Random draws: ignored, scaled by the variance, of another sign, layout or place in the run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import permutations

import torch

from parity.diagnose.arguments import as_binary, binary_edit, operand_edit, places_of
from parity.diagnose.hypothesis import Hypothesis, Site, Solve
from parity.diagnose.view import View
from parity.diagnose.wording import distinct, each
from parity.localize.execute import Edit
from parity.localize.tape import LEAF, Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "sampling"
MOST_LAYOUTS = 12
SCALES = (0.0, 0.5, math.sqrt(0.5), 2.0, math.sqrt(2.0), -1.0)


def propose(view: View) -> Iterator[Hypothesis]:
    """Other uses of each draw, and other deviations that draws are multiplied by."""
    draws = [value for value in dict.fromkeys(view.tape.draws) if view.consumers(value)]
    for value in draws:
        try:
            found = list(_of_draw(view, value))
        except (RuntimeError, IndexError, ValueError):
            continue  # an empty draw
        yield from distinct(found)
    yield from each(view, _deviation)


def _of_draw(view: View, value: int) -> Iterator[Hypothesis]:
    nodes = view.consumers(value)
    if not view.is_float(value):
        return
    site = Site(view.path(nodes[0]), "noise", nodes[0].source)

    def change(compute: Callable[..., Tensor], reads: tuple[int, ...] = ()) -> tuple[Edit, ...]:
        return tuple(operand_edit(n, places_of(n, value), compute, reads) for n in nodes)

    yield Hypothesis(NAME, "noise", "the noise drawn", "zeros", site, change(torch.zeros_like))
    yield Hypothesis(NAME, "sign", "noise", "minus the noise", site, change(torch.neg), cost=1.2)
    solve = Solve(
        lambda scale: change(lambda x: x * scale), -4.0, 4.0, reference=1.0, guesses=SCALES
    )
    text = "noise times {value:.4g}"
    yield Hypothesis(NAME, "scale", "noise", text, site, solve=solve, cost=1.4)
    for name, layout in _layouts(view.shape(value)):
        yield Hypothesis(NAME, "layout", "noise as drawn", name, site, change(layout), cost=1.3)
    for name, other in _others(view, value):
        edits = change(lambda _, new: new, (other,))
        yield Hypothesis(NAME, "noise", "the noise drawn", name, site, edits, cost=1.2)


def _layouts(shape: tuple[int, ...]) -> Iterator[tuple[str, Callable[[Tensor], Tensor]]]:
    """The same numbers in another order."""
    axes = [axis for axis, size in enumerate(shape) if size > 1]
    found = 0
    for order in permutations(axes):
        if list(order) == axes or found >= MOST_LAYOUTS:
            continue
        found += 1
        turn = list(range(len(shape)))
        for axis, source in zip(axes, order, strict=True):
            turn[axis] = source
        name = f"axes drawn in order {', '.join(map(str, turn))}"
        yield name, _filled(turn)
    for axis in axes:
        yield f"reversed along axis {axis}", _reversed(axis)


def _filled(turn: list[int]) -> Callable[[Tensor], Tensor]:
    """As if drawn with its axes in another order and turned back."""
    back = [turn.index(axis) for axis in range(len(turn))]

    def compute(x: Tensor) -> Tensor:
        drawn = x.contiguous().reshape([x.shape[axis] for axis in turn])
        return drawn.permute(back)

    return compute


def _reversed(axis: int) -> Callable[[Tensor], Tensor]:
    return lambda x: x.flip(axis)


def _others(view: View, value: int) -> Iterator[tuple[str, int]]:
    """The draws before and after, and the first, of the same shape."""
    same = [v for v in dict.fromkeys(view.tape.draws) if view.shape(v) == view.shape(value)]
    at = same.index(value)
    places = (("the draw before", at - 1), ("the draw after", at + 1), ("the first draw", 0))
    for name, place in places:
        if 0 <= place < len(same) and place != at:
            yield name, same[place]


def _deviation(view: View, node: Node) -> Iterator[Hypothesis]:
    """`s * noise` with the square or the root of s: variance for deviation and the reverse."""
    binary = as_binary(node)
    if binary is None or binary.kind != "mul" or binary.both is None:
        return
    for at, value in enumerate(binary.both):
        deviation = binary.both[1 - at]
        if not _is_noise(view, value) or _is_noise(view, deviation):
            continue
        place = binary.places[1 - at]
        forms = (
            ("variance", "its square", torch.square, 1.1),
            ("deviation", "its root", lambda s: s.abs().sqrt(), 1.1),
            ("exponential", "its exponential", torch.exp, 1.6),
        )
        for _, text, compute, cost in forms:
            edit = operand_edit(node, (place,), compute)
            yield Hypothesis(
                NAME, "scale", "noise times s", f"noise times {text}", view.site(node), (edit,),
                cost=cost,
            )  # fmt: skip
        alone = binary_edit(binary, lambda a, b, at=at: (a, b)[at] + 0 * (a, b)[1 - at])
        text = "noise unscaled"
        yield Hypothesis(NAME, "scale", "noise times s", text, view.site(node), (alone,), cost=1.2)


def _is_noise(view: View, value: int) -> bool:
    if value in view.tape.draws:
        return True
    index = view.tape.values[value].node
    if index == LEAF:
        return False
    inputs = view.tape.nodes[index].inputs
    return len(inputs) == 1 and inputs[0] in view.tape.draws
