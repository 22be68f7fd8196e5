"""Constants: every number in the reference's arithmetic is a parameter that a port can get wrong.

What such a number is called depends on what surrounds it: added under a root it is an epsilon,
multiplied onto scores their scale. One that nothing explains is `graph.constant`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from parity.diagnose.arguments import Binary, Place, as_binary, operand_edit, take
from parity.diagnose.constants import constants_of
from parity.diagnose.hypothesis import Hypothesis, Scale, Solve
from parity.diagnose.literals import SOFTMAX, Meaning, meaning_of
from parity.diagnose.view import View
from parity.diagnose.wording import each, fixed, leads_to
from parity.localize.execute import Edit
from parity.localize.tape import Node, Ref

__all__ = ["NAME", "propose"]

NAME = "constants"
_MOST_BOUNDED = 100_000
OTHER_NAME = ("graph", "constant")
EPSILONS = (0.0, 1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)

# Numbers among the arguments of torch's operations: position and name.
_ARGUMENTS: dict[str, tuple[tuple[int, str], ...]] = {
    "clamp": ((1, "min"), (2, "max")),
    "clip": ((1, "min"), (2, "max")),
    "clamp_": ((1, "min"), (2, "max")),
    "clamp_min": ((1, "min"),),
    "clamp_max": ((1, "max"),),
    "softplus": ((1, "beta"),),
    "leaky_relu": ((1, "negative_slope"),),
    "elu": ((1, "alpha"),),
    "celu": ((1, "alpha"),),
    "hardtanh": ((1, "min_val"), (2, "max_val")),
    "softshrink": ((1, "lambd"),),
    "hardshrink": ((1, "lambd"),),
    "threshold": ((1, "threshold"), (2, "value")),
    "lerp": ((2, "weight"),),
    "addcmul": ((9, "value"),),
    "addcdiv": ((9, "value"),),
    "remainder": ((1, "other"),),
    "fmod": ((1, "other"),),
    "floor_divide": ((1, "other"),),
    "where": ((1, "input"), (2, "other")),
    "normalize": ((3, "eps"),),
    "cosine_similarity": ((3, "eps"),),
    "full": ((1, "fill_value"),),
    "full_like": ((1, "fill_value"),),
    "new_full": ((2, "fill_value"),),
    "add": ((9, "alpha"),),
    "sub": ((9, "alpha"),),
}
_FACTORIES = frozenset({"full", "full_like", "new_full"})


@dataclass(frozen=True, slots=True)
class Literal:
    """A number in an operation.

    Attributes:
        node: the operation.
        place: where it stands.
        number: what the reference has.
        label: of the argument, or what is done with the number.
        binary: the operation as one of two operands, if it is one.
        is_tensor: whether it is a tensor of one element.
    """

    node: Node
    place: Place
    number: float
    label: str
    binary: Binary | None = None
    is_tensor: bool = False


def propose(view: View) -> Iterator[Hypothesis]:
    """Another number in the place of each, solved for; the two of a soft cap together."""
    yield from each(view, _of_node)
    yield from each(view, _of_cap)


def _of_node(view: View, node: Node) -> Iterator[Hypothesis]:
    for literal in _literals(view, node):
        binary = literal.binary
        meaning = meaning_of(view, node, literal.label, literal.number, binary=binary)
        if _is_stored(view, literal) and (meaning.family, meaning.parameter) == OTHER_NAME:
            meaning = replace(meaning, family="weights", parameter="scale")
        yield from _solved(view, literal, meaning)
        yield from _dropped_one(view, literal, meaning)


def _is_stored(view: View, literal: Literal) -> bool:
    """Whether a factor is made of a parameter of the model."""
    given = take(literal.node.args, literal.node.kwargs, literal.place)
    if not literal.is_tensor or literal.label != "times" or not isinstance(given, Ref):
        return False
    return bool(constants_of(view).parameters(given.value))


def _literals(view: View, node: Node) -> Iterator[Literal]:
    binary = as_binary(node)
    if binary is not None:
        yield from _operands(view, node, binary)
    for position, name in _ARGUMENTS.get(node.name, ()):
        place: Place = ("args", position) if len(node.args) > position else ("kwargs", name)
        if place[0] == "kwargs" and name not in node.kwargs:
            continue
        number = take(node.args, node.kwargs, place)
        if _is_number(number) and (node.name not in _FACTORIES or _used_as_number(view, node)):
            yield Literal(node, place, float(number), name)


def _operands(view: View, node: Node, binary: Binary) -> Iterator[Literal]:
    if binary.kind == "matmul":
        return
    for index, operand in enumerate((binary.left, binary.right)):
        label = _verb(binary.kind, index)
        if _is_number(operand):
            yield Literal(node, binary.places[index], float(operand), label, binary)
        elif isinstance(operand, Ref) and binary.both is not None:
            number = _single(view, operand.value)
            if number is not None and node.outputs and math.prod(view.shape(node.outputs[0])) > 1:
                yield Literal(node, binary.places[index], number, label, binary, is_tensor=True)


def _single(view: View, value: int) -> float | None:
    """The number in a tensor of one element that is a constant of the model."""
    if math.prod(view.shape(value)) != 1 or not view.is_float(value) or not view.has(value):
        return None
    number = float(view.value(value).reshape(()).item())
    return number if math.isfinite(number) and fixed(view, value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _used_as_number(view: View, node: Node) -> bool:
    return len(node.outputs) == 1 and view.is_float(node.outputs[0])


def _verb(kind: str, index: int) -> str:
    return {
        "add": "plus", "sub": "minus" if index else "subtracted from", "mul": "times",
        "div": "divided by" if index else "dividend", "pow": "to the power" if index else "base",
        "maximum": "at least", "minimum": "at most",
    }[kind]  # fmt: skip


def _solved(view: View, literal: Literal, meaning: Meaning) -> Iterator[Hypothesis]:
    integer = not any(view.is_float(v) for v in (*literal.node.outputs, *literal.node.written))
    number = literal.number
    scale, low, high, guesses = _range(number, literal.label, meaning, integer=integer)
    if meaning.parameter == "clamp" and scale == "linear":
        guesses += _within(view, literal)
    solve = Solve(_setter(literal, integer=integer), low, high, scale, number, guesses)
    label = "eps =" if meaning.is_epsilon else literal.label
    yield Hypothesis(
        meaning.family,
        meaning.parameter,
        f"{label} {number:.6g}",
        f"{label} {{value:.4g}}",
        view.site(literal.node),
        solve=solve,
        cost=meaning.cost,
    )


def _within(view: View, literal: Literal) -> tuple[float, ...]:
    """Bounds that some of the numbers exceed and others do not: elsewhere the error is flat."""
    source = next((v for v in literal.node.inputs if view.is_float(v) and view.has(v)), None)
    if source is None:
        return ()
    x = view.value(source).detach().flatten().double()
    x = x[torch.isfinite(x)][:_MOST_BOUNDED]
    if x.numel() < 2:
        return ()
    places = torch.linspace(0.02, 0.98, 13, dtype=torch.float64)
    found: list[float] = torch.quantile(x, places).tolist()
    return (literal.number - 1, literal.number + 1, *found)


def _range(
    number: float, label: str, meaning: Meaning, *, integer: bool
) -> tuple[Scale, float, float, tuple[float, ...]]:
    """How to search: scale, least, largest, guesses."""
    if integer:
        return "integer", number - 4, number + 4, ()
    if meaning.is_epsilon:
        return "linear", 0.0, 0.1, EPSILONS
    if label == "base" and number > 1:
        return "log", 1.001, 1e8, (1e4, 1e5, 1e6, 5e5, 2.0, 10.0, math.e)
    size = abs(number)
    reach = max(4.0, 4 * size, 2 * number * number, 2 / size if size > 1e-3 else 0.0)
    guesses = [0.0, 1.0, -number, number * number, 2 * number, number / 2]
    if size:
        guesses += [math.sqrt(size), 1 / number, 1 / math.sqrt(size)]
    if label in ("plus", "minus"):
        guesses += [number + 1, number - 1]
    return "linear", -reach, reach, tuple(guesses)


def _setter(literal: Literal, *, integer: bool) -> Callable[[float], tuple[Edit, ...]]:
    """Puts a number in the place of the reference's."""
    node, place = literal.node, literal.place
    if literal.is_tensor:
        return lambda value: (
            operand_edit(node, (place,), lambda given: torch.full_like(given, value)),
        )

    def make(value: float) -> tuple[Edit, ...]:
        return (operand_edit(node, (place,), lambda _: round(value) if integer else value),)

    return make


def _dropped_one(view: View, literal: Literal, meaning: Meaning) -> Iterator[Hypothesis]:
    """`1 + s` as `s`, which is better said in words than with a number."""
    if literal.label != "plus" or literal.number != 1.0 or not meaning.is_offset:
        return
    edit = operand_edit(literal.node, (literal.place,), lambda given: given * 0)
    what = "weight" if meaning.family == "norm" else "scale"
    yield Hypothesis(
        meaning.family,
        meaning.parameter,
        f"1 + {what}",
        what,
        view.site(literal.node),
        (edit,),
        cost=meaning.cost - 0.1,
        value=0.0,
    )


def _of_cap(view: View, node: Node) -> Iterator[Hypothesis]:
    """`c tanh(x / c)` with another c, or left out."""
    if node.name != "tanh" or len(node.inputs) != 1 or len(node.outputs) != 1:
        return
    inner = view.producer(node.inputs[0])
    readers = view.consumers(node.outputs[0])
    first = as_binary(inner) if inner is not None else None
    last = as_binary(readers[0]) if len(readers) == 1 else None
    if first is None or last is None or first.kind not in ("div", "mul") or last.kind != "mul":
        return
    if not last.node.outputs:
        return
    divisor, cap = _only_number(first), _only_number(last)
    if divisor is None or cap is None or not first.values:
        return
    divides = first.kind == "div" and not isinstance(first.right, Ref)
    if abs((divisor if divides else 1 / divisor) - cap) > 1e-6 * abs(cap):
        return
    inner_place, outer_place = _number_place(first), _number_place(last)

    def make(value: float) -> tuple[Edit, ...]:
        before = value if divides else 1 / value
        return (
            operand_edit(first.node, (inner_place,), lambda _: before),
            operand_edit(last.node, (outer_place,), lambda _: value),
        )

    site, reference = view.site(node), f"soft cap at {cap:.6g}"
    # Scores are capped, and so are logits, where a cap is a bound like any other.
    scores = leads_to(view, last.node.outputs[0], SOFTMAX, steps=3)
    family, parameter = ("attention", "softcap") if scores else ("activation", "clamp")
    solve = Solve(make, 0.05, 1e4, "log", cap, (10.0, 15.0, 20.0, 30.0, 50.0, 2 * cap, cap / 2))
    text = "soft cap at {value:.4g}"
    yield Hypothesis(family, parameter, reference, text, site, solve=solve, cost=1.0)
    left_out = Edit(last.node.index, lambda operands: operands.reads[0].clone(), (first.values[0],))
    yield Hypothesis(family, parameter, reference, "no cap", site, (left_out,), cost=1.0)


def _only_number(binary: Binary) -> float | None:
    numbers = [one for one in (binary.left, binary.right) if _is_number(one)]
    return float(numbers[0]) if numbers and numbers[0] else None


def _number_place(binary: Binary) -> Place:
    return binary.places[0 if _is_number(binary.left) else 1]
