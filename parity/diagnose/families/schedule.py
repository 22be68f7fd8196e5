"""Schedules: constants that change from step to step, tables that are indexed, denormalisation.

The numbers of a step are those that one place in the code has in turn; a port that counts from
the other end, or from one, has those of another step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch

from parity.diagnose.arguments import Place, as_binary, operand_edit, take
from parity.diagnose.hypothesis import Hypothesis, Solve
from parity.diagnose.view import View
from parity.diagnose.wording import LAYOUT, each, fixed
from parity.localize.execute import Edit, Operands
from parity.localize.tape import LEAF, Node, Ref, Tape

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "schedule"

# Which argument of an operation is a number of the step.
_NUMBERS: dict[str, tuple[Place, ...]] = {
    "full": (("args", 1), ("kwargs", "fill_value")),
    "full_like": (("args", 1), ("kwargs", "fill_value")),
    "new_full": (("args", 2),),
    "new_tensor": (("args", 1),),
    "tensor": (("args", 0),),
    "as_tensor": (("args", 0),),
    "scalar_tensor": (("args", 0),),
    "fill_": (("args", 1),),
    "lerp": (("args", 2),),
}
MOST_STEPS = 400
_SEQUENCES = frozenset({"linspace", "logspace", "arange"})
_places: WeakKeyDictionary[Tape, dict[tuple[str, str, str], list[Node]]] = WeakKeyDictionary()

FORMS: tuple[tuple[str, str, Callable[[float], float], float], ...] = (
    ("values", "its square", lambda v: v * v, 1.5),
    ("values", "its root", lambda v: math.sqrt(abs(v)), 1.5),
    ("direction", "1 - it", lambda v: 1 - v, 1.4),
    ("values", "1 + it", lambda v: 1 + v, 1.8),
    ("values", "minus it", lambda v: -v, 1.6),
    ("values", "one less", lambda v: v - 1, 1.4),
)
_SHIFTS = {"one less": -1.0, "1 + it": 1.0}


def propose(view: View) -> Iterator[Hypothesis]:
    """Other numbers of the steps, other ends of sequences, other denormalisations."""
    yield from each(view, _step_number)
    yield from each(view, _sequence)
    yield from each(view, _table)
    yield from each(view, _denormalised)


def _step_number(view: View, node: Node) -> Iterator[Hypothesis]:
    """A number that differs from call to call; changed in all of them."""
    for place, number in _numbers(node):
        same = _same_place(view, node, place)
        series = _series(same, place)
        first = next((other for other in same if view.inside(other.index)), node)
        if number not in series or len(set(series)) < 2 or first is not node:
            continue
        site, reference = view.site(node, f"number in {node.name}"), "number of the step"

        def change(
            form: Callable[[Any], Any], nodes: list[Node] = same, place: Place = place
        ) -> tuple[Edit, ...]:
            return tuple(operand_edit(one, (place,), form) for one in nodes)

        for parameter, text, other in _of_other_steps(series):
            if any(v != w for v, w in other.items()):
                edits = change(partial(_mapped, other))
                yield Hypothesis(NAME, parameter, reference, text, site, edits, cost=1.3)
        for parameter, text, form, cost in FORMS:
            yield Hypothesis(
                NAME, parameter, reference, text, site, change(form), cost=cost,
                value=_SHIFTS.get(text),
            )  # fmt: skip
        make = partial(_times, same, place)
        solve = Solve(make, -4.0, 4.0, reference=1.0, guesses=(0.5, 2.0, 0.001, -1.0))
        text = "{value:.4g} times it"
        yield Hypothesis(NAME, "scale", reference, text, site, solve=solve, cost=1.6)


def _times(nodes: list[Node], place: Place, factor: float) -> tuple[Edit, ...]:
    return tuple(operand_edit(one, (place,), lambda given: given * factor) for one in nodes)


def _mapped(other: dict[float, float], given: float) -> float:
    return other.get(float(given), float(given))


def _numbers(node: Node) -> Iterator[tuple[Place, float]]:
    places: list[Place] = [place for place in _NUMBERS.get(node.name, ()) if _has(node, place)]
    binary = as_binary(node)
    if binary is not None and binary.both is None:
        places += binary.places
    for place in places:
        given = take(node.args, node.kwargs, place)
        if isinstance(given, int | float) and not isinstance(given, bool):
            yield place, float(given)


def _has(node: Node, place: Place) -> bool:
    if place[0] == "args":
        return len(node.args) > int(place[1])
    return place[1] in node.kwargs


def _same_place(view: View, node: Node, place: Place) -> list[Node]:
    """The operations of the run that this place in the code makes."""
    same = _by_place(view.tape).get(_key(view.tape, node), [])
    return [
        other
        for other in same[:MOST_STEPS]
        if _has(other, place) and isinstance(take(other.args, other.kwargs, place), int | float)
    ]


def _series(nodes: list[Node], place: Place) -> list[float]:
    """The numbers that a place has in turn."""
    found: list[float] = []
    for node in nodes:
        number = float(take(node.args, node.kwargs, place))
        if not found or number != found[-1]:
            found.append(number)
    return found


def _key(tape: Tape, node: Node) -> tuple[str, str, str]:
    return (tape.path(node), node.source, node.name)


def _by_place(tape: Tape) -> dict[tuple[str, str, str], list[Node]]:
    known = _places.get(tape)
    if known is None:
        known = {}
        for node in tape.nodes:
            known.setdefault(_key(tape, node), []).append(node)
        _places[tape] = known
    return known


def _of_other_steps(series: list[float]) -> Iterator[tuple[str, str, dict[float, float]]]:
    """For each number of the steps that of another one."""
    after = series[1:]
    step = series[-1] - series[-2]
    # Beyond both ends the series goes on as it went.
    later = dict(zip(series, [*after, series[-1] + step], strict=True))
    earlier = dict(zip(series, [2 * series[0] - series[1], *series[:-1]], strict=True))
    yield "direction", "in reverse order", dict(zip(series, series[::-1], strict=True))
    yield "values", "that of the step after", later
    yield "values", "that of the step before", earlier
    yield "values", "the first step's, always", dict.fromkeys(series, series[0])
    yield "values", "half a step later", {a: (a + b) / 2 for a, b in later.items()}


def _sequence(view: View, node: Node) -> Iterator[Hypothesis]:
    """A sequence of numbers that is made at once."""
    if node.name not in _SEQUENCES or len(node.outputs) != 1:
        return
    site, reference = view.site(node), node.name
    cost = 2.2 if node.name == "arange" else 1.4
    edit = view.after(node, lambda made: made.flip(0))
    yield Hypothesis(NAME, "direction", reference, "in reverse order", site, (edit,), cost=cost)
    if node.name == "arange":
        return
    forms: tuple[tuple[str, Callable[[Any], Tensor]], ...] = (
        ("without its end", _open_end),
        ("without its start", _open_start),
        ("in the middle of each step", _middles),
    )
    for text, compute in forms:
        edit = Edit(node.index, partial(_again, compute))
        yield Hypothesis(NAME, "values", reference, text, site, (edit,), cost=1.5)


def _again(compute: Callable[[Any], Tensor], operands: Operands) -> Tensor:
    made: Tensor = operands.default()
    return compute(made)


def _open_end(made: Tensor) -> Tensor:
    count = made.shape[0]
    return made[0] + (made[-1] - made[0]) * torch.arange(count).to(made) / count


def _open_start(made: Tensor) -> Tensor:
    count = made.shape[0]
    return made[0] + (made[-1] - made[0]) * torch.arange(1, count + 1).to(made) / count


def _middles(made: Tensor) -> Tensor:
    count = made.shape[0]
    return made[0] + (made[-1] - made[0]) * (torch.arange(count).to(made) + 0.5) / count


def _table(view: View, node: Node) -> Iterator[Hypothesis]:
    """Another entry of a table of one axis, or a function of the entry."""
    if node.name not in ("getitem", "index_select", "gather") or not isinstance(node.args[0], Ref):
        return
    table = node.args[0].value
    if len(view.shape(table)) != 1 or not view.is_float(table) or len(node.outputs) != 1:
        return
    size = view.shape(table)[0]
    at = 1 if node.name == "getitem" else 2
    if size < 3 or len(node.args) <= at or isinstance(node.args[at], slice | tuple | list):
        return
    place: Place = ("args", at)
    moves: tuple[tuple[str, str, Callable[[Any], Any], float], ...] = (
        ("values", "the entry after", lambda i: (i + 1) % size, 1.3),
        ("values", "the entry before", lambda i: (i - 1) % size, 1.3),
        ("direction", "counted from the end", lambda i: size - 1 - i % size, 1.3),
    )
    site = view.site(node)
    for parameter, text, move, cost in moves:
        edit = operand_edit(node, (place,), move)
        yield Hypothesis(NAME, parameter, "entry of the table", text, site, (edit,), cost=cost)
    curves: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
        ("squared", torch.square),
        ("its root", lambda v: v.abs().sqrt()),
        ("1 - it", lambda v: 1 - v),
    )
    for text, curve in curves:
        edit = view.after(node, curve)
        yield Hypothesis(NAME, "values", "entry of the table", text, site, (edit,), cost=1.5)


def _denormalised(view: View, node: Node) -> Iterator[Hypothesis]:
    """`x * std + mean` of stored numbers, one of which is a buffer: other order, or not done."""
    last = as_binary(node)
    if last is None or last.both is None or last.kind not in ("add", "sub", "mul", "div"):
        return
    first_value, second = last.both
    inner = view.producer(first_value)
    first = as_binary(inner) if inner is not None else None
    if first is None or first.both is None or {first.kind, last.kind} not in _PAIRS:
        return
    x, stored = first.both
    if not (fixed(view, stored) and fixed(view, second)) or fixed(view, x):
        return
    a, b = (stored, second) if first.kind in ("mul", "div") else (second, stored)
    site, reads = view.site(node), (x, a, b)
    if not (_is_statistic(view, stored) and _is_statistic(view, second)):
        edit = Edit(node.index, partial(_of_reads, _OTHER_ORDER[first.kind, last.kind]), reads)
        said = f"{first.kind}, then {last.kind}"
        yield Hypothesis("graph", "order", said, f"{last.kind} first", site, (edit,), cost=1.4)
        return
    reference = "times deviation, plus mean" if first.kind == "mul" else "normalised by two numbers"
    for text, compute in _AFFINE.items():
        edit = Edit(node.index, partial(_of_reads, compute), reads)
        yield Hypothesis(NAME, "denormalise", reference, text, site, (edit,), cost=1.0)


# What comes out of x, a factor or divisor a and a summand b, if the second step comes first.
_OTHER_ORDER: dict[tuple[str, str], Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    ("mul", "add"): lambda x, a, b: (x + b) * a,
    ("mul", "sub"): lambda x, a, b: (x - b) * a,
    ("div", "add"): lambda x, a, b: (x + b) / a,
    ("div", "sub"): lambda x, a, b: (x - b) / a,
    ("add", "mul"): lambda x, a, b: x * a + b,
    ("sub", "mul"): lambda x, a, b: x * a - b,
    ("add", "div"): lambda x, a, b: x / a + b,
    ("sub", "div"): lambda x, a, b: x / a - b,
}
_PAIRS = ({"mul", "add"}, {"sub", "div"}, {"mul", "sub"}, {"div", "add"})
_AFFINE: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "left out": lambda x, a, b: x + 0 * a + 0 * b,
    "without the mean": lambda x, a, b: x * a + 0 * b,
    "without the deviation": lambda x, a, b: x + b + 0 * a,
    "mean first, then deviation": lambda x, a, b: (x + b) * a,
    "deviation first, then mean": lambda x, a, b: x * a + b,
    "minus mean, over deviation": lambda x, a, b: (x - b) / a,
    "over deviation, minus mean": lambda x, a, b: x / a - b,
    "over deviation, plus mean": lambda x, a, b: x / a + b,
    "minus mean, times deviation": lambda x, a, b: (x - b) * a,
    "times variance, plus mean": lambda x, a, b: x * a * a + b,
    "minus mean, over variance": lambda x, a, b: (x - b) / (a * a),
    "times root of deviation, plus mean": lambda x, a, b: x * a.abs().sqrt() + b,
}


def _of_reads(compute: Callable[[Tensor, Tensor, Tensor], Tensor], operands: Operands) -> Tensor:
    x, a, b = operands.reads
    return compute(x, a, b)


def _is_statistic(view: View, value: int) -> bool:
    """Whether a value is stored and not trained: a buffer, or a constant of the code."""
    tape = view.tape
    while tape.values[value].node != LEAF:
        node = tape.nodes[tape.values[value].node]
        if node.name not in LAYOUT or not node.inputs:
            return False
        value = node.inputs[0]
    return view.is_float(value) and not tape.values[value].trained
