"""Conditions: concatenated in another order, added, averaged, ignored, and guidance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

import torch

from parity.diagnose.arguments import (
    Binary,
    Place,
    as_binary,
    binary_edit,
    operand_edit,
    places_of,
    take,
)
from parity.diagnose.families.chunks import orders
from parity.diagnose.given import given_to
from parity.diagnose.hypothesis import Hypothesis, Solve
from parity.diagnose.literals import SOFTMAX, WAVES
from parity.diagnose.view import View
from parity.diagnose.wording import (
    consumers_through,
    descends,
    each,
    fixed,
    leads_to,
    producer_through,
    residual_parts,
)
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref, refs_of

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "conditioning"
_JOINS = frozenset({"cat", "concat", "concatenate", "stack", "hstack", "vstack"})
_LINEAR = frozenset({"add", "sub", "mul", "div"})
MOST_PARTS = 6
_SEQUENCE = 3  # axes: batch, tokens, channels


def propose(view: View) -> Iterator[Hypothesis]:
    """Other ways to bring conditions together."""
    yield from each(view, _joined)
    yield from each(view, _summed)
    yield from each(view, _guided)
    yield from each(view, _pooled)


def _joined(view: View, node: Node) -> Iterator[Hypothesis]:
    place = _list_place(node)
    if node.name not in _JOINS or place is None or len(node.outputs) != 1:
        return
    parts = take(node.args, node.kwargs, place)
    if not 2 <= len(parts) <= MOST_PARTS or not all(isinstance(part, Ref) for part in parts):
        return
    values = [part.value for part in parts]
    family, parameter = _join_context(view, values)
    what = f"{node.name} of {len(values)}"
    for order in orders(len(values)):
        edit = operand_edit(node, (place,), partial(_picked, order))
        text = f"in order {', '.join(map(str, order))}"
        yield Hypothesis(family, parameter, what, text, view.site(node), (edit,), cost=1.3)
    for at in range(len(values)):
        yield from _ignored(view, node, place, at, what)


def _list_place(node: Node) -> Place | None:
    if node.args and isinstance(node.args[0], tuple | list) and not isinstance(node.args[0], Ref):
        return ("args", 0)
    return ("kwargs", "tensors") if "tensors" in node.kwargs else None


def _join_context(view: View, values: list[int]) -> tuple[str, str]:
    waves = [producer_through(view, value) for value in values]
    if sum(node is not None and node.name in WAVES for node in waves) == len(values):
        return "positional", "order"
    return NAME, "order"


def _picked(order: tuple[int, ...], parts: Any) -> Any:
    return [parts[i] for i in order]


def _ignored(view: View, node: Node, place: Place, at: int, what: str) -> Iterator[Hypothesis]:
    """One part zero, or another of its shape in its place."""
    values = [part.value for part in take(node.args, node.kwargs, place)]
    if not view.is_float(values[at]):
        return
    site = view.site(node)

    def change(new: Callable[[Any], Tensor]) -> tuple[Edit, ...]:
        return (operand_edit(node, (place,), lambda p: [*p[:at], new(p), *p[at + 1 :]]),)

    zero = change(lambda parts: torch.zeros_like(parts[at]))
    context = _added_to(view, node)
    if context == "features" and all(fixed(view, value) for value in values):
        # What is stored and added to each place of a sequence tells the places apart.
        text = f"none added where part {at} is"
        yield Hypothesis("positional", "applied", "positions added", text, site, zero, cost=1.3)
    else:
        yield Hypothesis(NAME, "combine", what, f"part {at} zero", site, zero, cost=1.4)
    if not fixed(view, values[at]):
        root = math.sqrt(max(view.shape(values[at])[-1:] or (1,)))
        solve = Solve(
            lambda value: change(lambda parts: parts[at] * value),
            -64.0, 64.0, reference=1.0, guesses=(0.0, 0.5, 2.0, -1.0, root, 1 / root),
        )  # fmt: skip
        family = "embedding" if context == "positions" else NAME
        text = f"part {at} times {{value:.4g}}"
        yield Hypothesis(family, "scale", what, text, site, solve=solve, cost=1.6)
    for other, value in enumerate(values):
        if value != values[at] and view.shape(value) == view.shape(values[at]):
            edits = change(itemgetter(other))
            text = f"part {other} for part {at}"
            yield Hypothesis(NAME, "source", what, text, site, edits, cost=1.6)


def _added_to(view: View, node: Node) -> str:
    """What a result is added to: stored `positions`, or `features`; empty if to nothing."""
    for reader in consumers_through(view, node.outputs[0]):
        binary = as_binary(reader)
        if binary is not None and binary.kind == "add" and binary.both is not None:
            left, right = (fixed(view, value) for value in binary.both)
            if left != right:
                return "features" if fixed(view, node.outputs[0]) else "positions"
    return ""


def _summed(view: View, node: Node) -> Iterator[Hypothesis]:
    """A sum of two tensors of which neither is computed from the other."""
    binary = as_binary(node)
    if binary is None or binary.kind not in ("add", "sub") or binary.both is None:
        return
    if residual_parts(view, node) is not None or _is_mask(view, node):
        return
    if any(fixed(view, value) or not view.is_float(value) for value in binary.both):
        return
    branches = _of_one(view, node, binary.both)
    yield from _one_alone(view, binary, branches=branches)
    site, written = view.site(node), "a + b" if binary.kind == "add" else "a - b"
    if binary.kind == "add":
        half = binary_edit(binary, lambda a, b: (a + b) / 2)
        text = "(a + b) / 2, averaged"
        family, parameter = ("residual", "scale") if branches else (NAME, "combine")
        yield Hypothesis(family, parameter, "a + b", text, site, (half,), cost=1.2, value=0.5)
    family = "residual" if branches else NAME
    for at in (0, 1):
        make = partial(_weighted, binary, at)
        text = f"{written}, {'ab'[at]} times {{value:.4g}}"
        solve = Solve(make, -8.0, 8.0, reference=1.0, guesses=(0.0, 0.5, 2.0, -1.0))
        yield Hypothesis(family, "scale", written, text, site, solve=solve, cost=1.6)


def _of_one(view: View, node: Node, both: tuple[int, int]) -> bool:
    """Whether both operands are branches: a call computes them from one tensor given to it."""
    span = next(iter(view.tape.enclosing(node)), None)
    given = refs_of((span.args, span.kwargs)) if span is not None else ()
    return any(
        view.is_float(value) and all(descends(view, operand, value) for operand in both)
        for value in dict.fromkeys(given)
    )


def _is_mask(view: View, node: Node) -> bool:
    return bool(node.outputs) and leads_to(view, node.outputs[0], SOFTMAX, steps=1)


def _one_alone(view: View, binary: Binary, *, branches: bool) -> Iterator[Hypothesis]:
    both = binary.both
    result = next(iter((*binary.node.outputs, *binary.node.written)))
    if both is None:
        return
    for keep in (0, 1):
        if view.shape(both[keep]) != view.shape(result):
            continue
        edit = binary_edit(binary, lambda a, b, keep=keep: (a, b)[keep].clone())
        sign = "+" if binary.kind == "add" else "-"
        text = f"{'ab'[keep]} alone, {'ba'[keep]} left out"
        family, parameter = ("graph", "omitted") if branches else (NAME, "combine")
        yield Hypothesis(
            family, parameter, f"a {sign} b", text, view.site(binary.node), (edit,),
            cost=1.1, value=0.0,
        )  # fmt: skip


def _weighted(binary: Binary, at: int, value: float) -> tuple[Edit, ...]:
    place = binary.places[at]
    return (operand_edit(binary.node, (place,), lambda given: given * value),)


def _pooled(view: View, node: Node) -> Iterator[Hypothesis]:
    """A map of a condition's tokens that gets the mean of all of them instead."""
    if node.name != "linear" or not node.inputs or node.written:
        return
    source = node.inputs[0]
    shape = view.shape(source)
    if len(shape) != _SEQUENCE or shape[-2] < 2 or not _is_condition(view, source):
        return
    change = partial(_averaged, -2)
    edit = operand_edit(node, places_of(node, source), change)
    yield Hypothesis(
        NAME, "source", "each of its tokens", "the mean of its tokens", view.site(node), (edit,),
        cost=1.6,
    )  # fmt: skip


def _is_condition(view: View, value: int) -> bool:
    """Whether a tensor was given to a call together with others, and not as the first."""
    return any(place > 0 for _, place in given_to(view.tape).get(value, ()))


def _averaged(axis: int, x: Tensor) -> Tensor:
    return x.mean(axis, keepdim=True).expand_as(x)


@dataclass(frozen=True, slots=True)
class Guidance:
    """`u + s (c - u)`: with a condition c, without one u."""

    with_condition: int
    without: int
    scale: float


def _guided(view: View, node: Node) -> Iterator[Hypothesis]:
    found = _guidance(view, node)
    if found is None:
        return
    s, reads = found.scale, (found.with_condition, found.without)
    site, reference = view.site(node), f"u + {s:.4g} (c - u)"

    def change(compute: Callable[[Tensor, Tensor], Tensor]) -> tuple[Edit, ...]:
        def apply(operands: Operands) -> Tensor:
            return compute(*operands.reads)

        return (Edit(node.index, apply, reads),)

    # With each the factor s of which it is `u + s (c - u)`, if it is that.
    forms: tuple[tuple[str, Callable[[Tensor, Tensor], Tensor], float, float | None], ...] = (
        (f"c + {s:.4g} (c - u)", lambda c, u: c + s * (c - u), 1.0, s + 1),
        (f"u + {s - 1:.4g} (c - u)", lambda c, u: u + (s - 1) * (c - u), 1.1, s - 1),
        (f"c + {s:.4g} (u - c), exchanged", lambda c, u: c + s * (u - c), 1.0, 1 - s),
        ("c, no guidance", lambda c, _: c.clone(), 1.0, 1.0),
        ("u, the condition ignored", lambda _, u: u.clone(), 1.1, 0.0),
        (f"u + {s:.4g} c", lambda c, u: u + s * c, 1.4, None),
        (f"{s:.4g} (c - u)", lambda c, u: s * (c - u), 1.4, None),
        ("(c + u) / 2, averaged", lambda c, u: (c + u) / 2, 1.5, 0.5),
    )
    for text, compute, cost, value in forms:
        yield Hypothesis(
            NAME, "guidance", reference, text, site, change(compute), cost=cost, value=value
        )
    solve = Solve(
        lambda value: change(lambda c, u: u + value * (c - u)),
        -20.0, 40.0, reference=s, guesses=(0.0, 1.0, s + 1, s - 1, 2 * s),
    )  # fmt: skip
    text = "u + {value:.4g} (c - u)"
    yield Hypothesis(NAME, "guidance", reference, text, site, solve=solve, cost=1.2)


def _guidance(view: View, node: Node) -> Guidance | None:
    """Guidance, however it is written: a sum of two tensors with factors that add up to one."""
    if node.name not in ("add", "sub", "lerp") or len(node.outputs) != 1:
        return None
    terms = _terms(view, node)
    if len(terms) != 2:
        return None
    c, u = terms
    result = node.outputs[0]
    if not all(view.shape(v) == view.shape(result) and view.has(v) for v in terms):
        return None
    a, b = _factors(view.value(c), view.value(u), view.value(result))
    # Equal shares are an average, and nothing that guides.
    if not abs(a + b - 1) < 1e-4 or abs(a - b) < 1e-3 or min(abs(a), abs(b)) < 1e-3:
        return None
    return Guidance(c, u, a) if a > b else Guidance(u, c, b)


def _terms(view: View, node: Node) -> list[int]:
    """The tensors that an expression of sums and factors is made of."""
    found: dict[int, None] = {}
    queue, depth = list(node.inputs), 0
    while queue and depth < 8:
        value = queue.pop(0)
        depth += 1
        index = view.tape.values[value].node
        inner = view.tape.nodes[index] if index >= 0 and view.inside(index) else None
        if inner is not None and inner.name in _LINEAR and as_binary(inner) is not None:
            queue += inner.inputs
        elif not fixed(view, value):
            found[value] = None
    return list(found) if not queue else []


def _factors(c: Tensor, u: Tensor, result: Tensor) -> tuple[float, float]:
    """Factors a and b of `result = a c + b u`; zeros if there are none."""
    matrix = torch.stack([c.double().flatten(), u.double().flatten()], dim=1)
    target = result.double().flatten()
    if matrix.shape[0] < 3 or not bool(torch.isfinite(matrix).all()):
        return 0.0, 0.0
    gram = matrix.T @ matrix
    if not float(torch.linalg.det(gram)) > 1e-12 * float(gram.diagonal().prod()):
        return 0.0, 0.0
    factors = torch.linalg.solve(gram, matrix.T @ target)
    left = float((matrix @ factors - target).norm())
    if not left <= 1e-5 * float(target.norm()):
        return 0.0, 0.0
    return float(factors[0]), float(factors[1])
