"""Residual connections: dropped, scaled, taken from elsewhere, or one too many."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch

from parity.diagnose.alternatives import alternatives
from parity.diagnose.arguments import Binary, as_binary, binary_edit, operand_edit, places_of
from parity.diagnose.hypothesis import Hypothesis, Site, Solve
from parity.diagnose.view import View
from parity.diagnose.wording import (
    consumers_through,
    descends,
    distinct,
    each,
    producer_through,
    residual_parts,
    title,
)
from parity.localize.execute import Edit, Operands
from parity.localize.tape import LEAF, Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "residual"
REFERENCE = "x + f(x)"
SCALES = (0.0, 0.1, 0.5, math.sqrt(0.5), 1.0, math.sqrt(2.0), 2.0, -1.0)
# How much of a difference may be left for it to be a tensor that was added, times a number.
MOST_LEFT = 0.03
_MOST_CHAINED = 64
_LOOK_BACK = 80  # operations
MOST_READERS = 8
MOST_SUMMANDS = 12
COEFFICIENTS = (1.0, -1.0, 0.5, -0.5, 2.0)


def propose(view: View) -> Iterator[Hypothesis]:
    """Changes of sums, of layer scales, and sums where the reference has none."""
    yield from each(view, _of_sum)
    yield from each(view, _of_scale)
    yield from each(view, _of_chain)
    yield from distinct(_extra_sums(view))
    yield from distinct(_extra_in_input(view))
    yield from distinct(_extra_at_end(view))


def _of_sum(view: View, node: Node) -> Iterator[Hypothesis]:
    parts = residual_parts(view, node)
    if parts is None:
        return
    binary, skip, branch = parts
    site = view.site(node)
    yield from _without(binary, skip, site)
    if skip != branch:
        yield from _scaled(view, binary, branch, site)
        yield from _from_elsewhere(view, binary, skip, site)


def _without(binary: Binary, skip: int, site: Site) -> Iterator[Hypothesis]:
    def change(compute: Callable[[Tensor, Tensor], Tensor]) -> tuple[Edit, ...]:
        """`compute(x, f(x))`."""
        if skip == 0:
            return (binary_edit(binary, compute),)
        return (binary_edit(binary, lambda a, b: compute(b, a)),)

    says = (
        ("residual", "dropped", "f(x), x not added", lambda _, f: f.clone(), 1.0),
        ("graph", "omitted", "x, f(x) left out", lambda x, _: x.clone(), 1.4),
        ("residual", "added", "2 x + f(x), x added twice", lambda x, f: x + x + f, 1.6),
        ("residual", "added", "x + 2 f(x), f(x) added twice", lambda x, f: x + f + f, 1.7),
        ("residual", "scale", "x - f(x)", lambda x, f: x - f, 1.8),
        ("residual", "scale", "(x + f(x)) / sqrt(2)", lambda x, f: (x + f) * math.sqrt(0.5), 1.3),
    )
    for family, parameter, text, compute, cost in says:
        value = math.sqrt(0.5) if "sqrt" in text else None
        yield Hypothesis(
            family, parameter, REFERENCE, text, site, change(compute), cost=cost, value=value
        )


def _scaled(view: View, binary: Binary, branch: int, site: Site) -> Iterator[Hypothesis]:
    def scale(at: int) -> Callable[[float], tuple[Edit, ...]]:
        return lambda value: (
            operand_edit(binary.node, (binary.places[at],), lambda given: given * value),
        )

    def whole(value: float) -> tuple[Edit, ...]:
        return (binary_edit(binary, lambda a, b: (a + b) * value),)

    forms = (
        ("x + {value:.4g} f(x)", scale(branch), 1.3),
        ("{value:.4g} x + f(x)", scale(1 - branch), 1.6),
        ("{value:.4g} (x + f(x))", whole, 1.6),
    )
    values = binary.both
    numbered = values is not None and _times_number(view, values[branch])
    for text, make, cost in forms[1:] if numbered else forms:
        # Where the branch has a factor already, another factor is the better explanation.
        solve = Solve(make, -4.0, 4.0, reference=1.0, guesses=SCALES)
        yield Hypothesis("residual", "scale", REFERENCE, text, site, solve=solve, cost=cost)


def _of_chain(view: View, node: Node) -> Iterator[Hypothesis]:
    """What is left after one step, from which the next takes its part: from the start instead."""
    binary = as_binary(node)
    if binary is None or binary.kind != "sub" or binary.both is None or node.written:
        return
    start = binary.both[0]
    for _ in range(_MOST_CHAINED):
        before = _maker(view, start)
        inner = as_binary(before) if before is not None and before.span == node.span else None
        if inner is None or inner.kind != "sub" or inner.both is None:
            break
        start = inner.both[0]
    if start == binary.both[0] or view.shape(start) != view.shape(binary.both[0]):
        return
    place = binary.places[0]
    edit = operand_edit(node, (place,), lambda _, first: first, reads=(start,))
    yield Hypothesis(
        NAME, "source", "a - b, a left by the steps before", "a as it was at the start, - b",
        view.site(node), (edit,), cost=1.0,
    )  # fmt: skip


def _maker(view: View, value: int) -> Node | None:
    index = view.tape.values[value].node
    return view.tape.nodes[index] if index != LEAF else None


def _times_number(view: View, value: int) -> bool:
    node = producer_through(view, value)
    binary = as_binary(node) if node is not None else None
    return binary is not None and binary.kind in ("mul", "div") and binary.both is None


def _from_elsewhere(view: View, binary: Binary, skip: int, site: Site) -> Iterator[Hypothesis]:
    both = binary.both
    if both is None:
        return
    for other, name in alternatives(view).of(both[skip], binary.node):
        if other in both:
            continue
        edit = operand_edit(binary.node, (binary.places[skip],), lambda _, new: new, reads=(other,))
        text = f"{name} + f(x)"
        yield Hypothesis("residual", "source", REFERENCE, text, site, (edit,), cost=1.3)


def _of_scale(view: View, node: Node) -> Iterator[Hypothesis]:
    """A layer scale or a gate on a branch, left out."""
    binary = as_binary(node)
    if binary is None or binary.kind != "mul" or binary.both is None or not node.outputs:
        return
    if not _is_added(view, node.outputs[0]):
        return
    for index, factor in enumerate(binary.both):
        branch = binary.both[1 - index]
        if view.shape(branch) != view.shape(node.outputs[0]) or not _is_vector(view, factor):
            continue
        keep = 1 - index
        edit = binary_edit(binary, lambda a, b, keep=keep: (a, b)[keep].clone())
        stored = view.is_parameter(factor)
        if not stored and descends(view, factor, branch):
            continue  # it goes back to what it scales, and is no condition
        family, parameter = ("residual", "scale") if stored else ("adaln", "gate")
        what = "layer scale" if stored else "gate"
        yield Hypothesis(
            family, parameter, f"f(x) times {what}", "f(x) unscaled", view.site(node), (edit,),
            value=1.0,
        )  # fmt: skip


def _is_added(view: View, value: int) -> bool:
    """Whether a value is a term of a sum, maybe times a number."""
    for node in consumers_through(view, value):
        if node.name in ("add", "add_"):
            return True
        scaled = node.name in ("mul", "div") and len(node.inputs) == 1 and len(node.outputs) == 1
        if scaled and any(n.name == "add" for n in consumers_through(view, node.outputs[0])):
            return True
    return False


def _is_vector(view: View, value: int) -> bool:
    """Whether a factor has one number a channel, of a parameter or for each of a batch."""
    shape = view.shape(value)
    return math.prod(shape) > 1 and (view.is_parameter(value) or 1 in shape[:-1] or len(shape) == 1)


def _extra_sums(view: View) -> Iterator[Hypothesis]:
    """A call's argument added to its result, where the reference does not."""
    for region in view.modules:
        if view.shape(region.source) != view.shape(region.result):
            continue
        node = view.tape.nodes[region.node]
        if node.written or residual_parts(view, node) is not None:
            continue
        edit = Edit(node.index, _plus_read, (region.source,))
        site = Site(region.path, "result", node.source)
        yield Hypothesis("residual", "added", "f(x)", "x + f(x)", site, (edit,), cost=1.5)


def _plus_read(operands: Operands) -> Tensor:
    made: Tensor = operands.default() + operands.reads[0]
    return made


def _extra_in_input(view: View) -> Iterator[Hypothesis]:
    """Another tensor added to what a call is given, for all who read it."""
    tape = view.tape
    for cut in view.segment.slice.cuts:
        inside = view.consumers(cut.value)
        if not inside or not view.is_float(cut.value) or len(view.shape(cut.value)) < 1:
            continue
        readers = [tape.nodes[i] for i in tape.readers.get(cut.value, ())][:MOST_READERS]
        if any(node.written for node in readers):
            continue
        first = min(readers, key=lambda node: node.index)
        for other, name in _summands(view, cut.value, first):
            edits = tuple(
                operand_edit(node, places_of(node, cut.value), _plus, reads=(other,))
                for node in readers
            )
            said, text = f"{title(view, cut.value)} alone", f"plus {name}"
            site = view.site(inside[0])
            yield Hypothesis("residual", "added", said, text, site, edits, cost=1.8)


def _plus(x: Tensor, other: Tensor) -> Tensor:
    return x + other


def _summands(view: View, value: int, node: Node) -> Iterator[tuple[int, str]]:
    """What may be added: what has a name, and what terms of sums are made of, of this shape."""
    yield from alternatives(view).of(value, node)
    tape, shape = view.tape, view.shape(value)
    found = 0
    for index in range(node.index - 1, max(node.index - _LOOK_BACK, -1), -1):
        for other in tape.nodes[index].outputs:
            sum_of = as_binary(tape.nodes[index])
            same = tape.values[other].shape == shape and tape.values[other].dtype.is_floating_point
            if same and sum_of is not None and other != value:
                yield other, title(view, other)
                found += 1
        if found >= MOST_SUMMANDS:
            return


def _extra_at_end(view: View) -> Iterator[Hypothesis]:
    """A tensor that the difference at the segment's end is a multiple of."""
    node = view.producer(view.segment.tap.value)
    ours, theirs = view.ours, view.theirs
    if node is None or len(node.outputs) != 1 or node.written or ours.shape != theirs.shape:
        return
    rest = (theirs.double() - ours.double()).flatten()
    if rest.numel() < 8 or not bool(torch.isfinite(rest).all()):
        return
    for value, name in _candidates(view, node):
        found = _multiple(view, value, rest)
        if found is None:
            continue
        site = view.site(node)
        reference = f"{title(view, node.outputs[0])} alone"
        if found in COEFFICIENTS:
            text = f"{'plus' if found > 0 else 'minus'} {_times(abs(found))}{name}"
            edits = _adding(node, value, found)
            yield Hypothesis("residual", "added", reference, text, site, edits, cost=1.7)
            continue
        make = partial(_adding, node, value)
        solve = Solve(make, -8.0, 8.0, reference=0.0, guesses=(found,))
        text = f"plus {{value:.4g}} times {name}"
        yield Hypothesis("residual", "added", reference, text, site, solve=solve, cost=2.2)


def _adding(node: Node, value: int, factor: float) -> tuple[Edit, ...]:
    def apply(operands: Operands) -> Tensor:
        made: Tensor = operands.default() + factor * operands.reads[0]
        return made

    return (Edit(node.index, apply, (value,)),)


def _times(number: float) -> str:
    return "" if number == 1.0 else f"{number:g} times "


def _candidates(view: View, node: Node) -> Iterator[tuple[int, str]]:
    yield from alternatives(view).of(node.outputs[0], node)
    direct = [v for n in view.nodes for v in n.outputs if v != node.outputs[0]]
    for value in direct[-24:]:
        same = view.shape(value) == view.shape(node.outputs[0]) and view.is_float(value)
        if same and view.tape.values[value].node < node.index:
            yield value, title(view, value)


def _multiple(view: View, value: int, rest: Tensor) -> float | None:
    """The factor by which a tensor is a difference; None if it is not."""
    if not view.has(value) and value not in view.segment.known:
        return None
    if view.has(value):
        tensor = view.value(value)
    else:
        tensor = view.segment.candidate.tensor(view.segment.known[value][-1].key)
    w = tensor.double().flatten()
    power = float(w @ w) if w.shape == rest.shape else 0.0
    if not power > 0 or not math.isfinite(power):
        return None
    factor = float(rest @ w) / power
    if not float((rest - factor * w).norm()) <= MOST_LEFT * float(rest.norm()):
        return None
    return next((c for c in COEFFICIENTS if abs(factor - c) <= MOST_LEFT * abs(c)), factor)
