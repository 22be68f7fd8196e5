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
_MOST_READERS = 8
_EXACT = 1e-5
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
    yield from _own_draws(view, value)
    for name, other in _others(view, value):
        edits = change(lambda _, new: new, (other,))
        yield Hypothesis(NAME, "noise", "the noise drawn", name, site, edits, cost=1.2)


def _own_draws(view: View, value: int) -> Iterator[Hypothesis]:
    """Other numbers than those drawn, where a map of them with more rows than columns shows them.

    They are what the map has to be given to make the candidate's result, in every call; it then
    makes all of the result, although that has more numbers.
    """
    node = view.producer(view.segment.tap.value)
    if node is None or node.name != "linear" or node.inputs[:1] != (value,):
        return
    drawn = _solved_draws(view, node)
    readers = [view.tape.nodes[i] for i in view.tape.readers.get(value, ())][:_MOST_READERS]
    if not drawn or any(one.written for one in readers):
        return
    edits = tuple(
        operand_edit(one, places_of(one, value), lambda x: _instead_of(drawn, x)) for one in readers
    )
    site = Site(view.path(node), "noise", node.source)
    text = "draws of its own"
    yield Hypothesis(NAME, "noise", "the noise drawn", text, site, edits, cost=2.0)


def _solved_draws(view: View, node: Node) -> list[tuple[Tensor, Tensor]]:
    """The draw of each call of a map, and what the candidate has in its place; empty if unknown."""
    tape, key, candidate = view.tape, view.segment.tap.key, view.segment.candidate
    found: list[tuple[Tensor, Tensor]] = []
    for tap in tape.taps:
        same = (tap.key.path, tap.key.port) == (key.path, key.port)
        if not same or tap.key not in candidate:
            continue
        other = tape.nodes[tape.values[tap.value].node]
        draw = other.inputs[0] if other.name == node.name and other.inputs else LEAF
        if draw not in tape.draws or draw not in tape.leaves:
            return []
        made = _solved_for(view, other, candidate.tensor(tap.key))
        if made is None:
            return []
        found.append((tape.leaves[draw].tensor, made.reshape(tape.leaves[draw].tensor.shape)))
    return found


def _solved_for(view: View, node: Node, theirs: Tensor) -> Tensor | None:
    """What a linear map was given; None if nothing makes all of the result."""
    weight = view.tensor_argument(node, 1, "weight")
    bias = view.tensor_argument(node, 2, "bias")
    if weight is None or not view.has(weight) or (bias is not None and not view.has(bias)):
        return None
    matrix = view.value(weight).double()
    if matrix.dim() != 2 or matrix.shape[0] < 2 * matrix.shape[1]:
        return None
    result = theirs.double().reshape(-1, matrix.shape[0])
    if bias is not None:
        result = result - view.value(bias).double()
    given: Tensor = torch.linalg.lstsq(matrix, result.T).solution
    left = float((matrix @ given - result.T).norm())
    if not left <= _EXACT * float(result.norm()):
        return None
    return given.T.to(theirs.dtype)


def _instead_of(drawn: list[tuple[Tensor, Tensor]], x: Tensor) -> Tensor:
    """What stands in the place of a draw, which is known by its numbers."""
    for own, other in drawn:
        if own.shape == x.shape and torch.equal(own, x):
            return other.to(x.dtype)
    return x


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
        yield from _of_logarithm(view, deviation)
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


def _of_logarithm(view: View, deviation: int) -> Iterator[Hypothesis]:
    """A deviation from its logarithm, times a number maybe: from that of the variance instead."""
    node = view.producer(deviation)
    for _ in range(2):
        binary = as_binary(node) if node is not None else None
        if binary is None or binary.kind not in ("mul", "div") or binary.both is not None:
            break
        node = view.producer(binary.values[0])
    if node is None or node.name != "exp" or len(node.outputs) != 1:
        return
    for text, compute in (
        ("exp(s / 2): s is that of a variance", torch.sqrt),
        ("exp(2 s): its square", torch.square),
    ):
        edit = view.after(node, compute)
        yield Hypothesis(NAME, "scale", "exp(s)", text, view.site(node), (edit,), cost=1.05)


def _is_noise(view: View, value: int) -> bool:
    if value in view.tape.draws:
        return True
    index = view.tape.values[value].node
    if index == LEAF:
        return False
    inputs = view.tape.nodes[index].inputs
    return len(inputs) == 1 and inputs[0] in view.tape.draws
