"""Parts of one tensor in another order: gate and up, query, key and value, shift and scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from typing import Any

import torch

from parity.diagnose.arguments import as_binary, binary_edit, operand_edit, places_of
from parity.diagnose.families.activation import FUNCTIONS
from parity.diagnose.given import given_to
from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.literals import PRODUCTS, SOFTMAX
from parity.diagnose.program import ahead_of_time, program_between
from parity.diagnose.view import View
from parity.diagnose.wording import (
    LAYOUT,
    consumers_through,
    distinct,
    each,
    leads_to,
    producer_through,
)
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref, refs_of

__all__ = ["NAME", "context_of", "orders", "propose"]

Tensor = torch.Tensor
NAME = "graph"
MOST_ORDERS = 32
_FEW_PARTS = 4
_SPLITS = frozenset({"chunk", "split", "unbind", "tensor_split", "split_with_sizes"})
_CUTS = frozenset({"getitem", "select", "narrow"})


def propose(view: View) -> Iterator[Hypothesis]:
    """Parts exchanged, parts cut another way, and the two factors of a gated product."""
    yield from each(view, _split)
    yield from distinct(_cuts(view))
    yield from each(view, _gated)
    yield from each(view, _glu)


def orders(count: int) -> list[tuple[int, ...]]:
    """Other orders of some parts, those that occur: all of few; pairs, turns, groups of many."""
    own = tuple(range(count))
    if count <= 4:
        found = list(permutations(own))
    else:
        found = [own[::-1], own[1:] + own[:1], own[-1:] + own[:-1]]
        found += [_exchanged(own, i, j) for i in range(count) for j in range(i + 1, count)]
        for size in (n for n in (2, 3) if count % n == 0):
            groups = [own[i : i + size] for i in range(0, count, size)]
            found.append(tuple(v for group in groups[::-1] for v in group))
            found.append(tuple(v for group in zip(*groups, strict=True) for v in group))
            found += [
                tuple(group[i] for group in groups for i in order)
                for order in permutations(range(size))
            ]
    return [order for order in dict.fromkeys(found) if order != own][:MOST_ORDERS]


def _exchanged(own: tuple[int, ...], i: int, j: int) -> tuple[int, ...]:
    parts = list(own)
    parts[i], parts[j] = parts[j], parts[i]
    return tuple(parts)


def _split(view: View, node: Node) -> Iterator[Hypothesis]:
    if node.name not in _SPLITS or len(node.outputs) < 2:
        return
    if len({view.shape(value) for value in node.outputs}) != 1:
        return
    family, parameter = context_of(view, node.outputs)
    count = len(node.outputs)
    for order in orders(count):
        edit = Edit(node.index, partial(_reordered, order))
        yield Hypothesis(
            family, parameter, f"parts {_list(range(count))}", f"parts {_list(order)}",
            view.site(node), (edit,), cost=1.1 if count < 4 else 1.3,
        )  # fmt: skip
    yield from _lagged(view, node)
    if node.name != "unbind":
        edit = Edit(node.index, partial(_interleaved, count))
        yield Hypothesis(
            family, parameter, f"{count} parts in blocks", f"every {_nth(count)} channel each",
            view.site(node), (edit,), cost=1.2,
        )  # fmt: skip


def _lagged(view: View, node: Node) -> Iterator[Hypothesis]:
    """Parts that follow one another, of many: for each the one before it, or after it."""
    count = len(node.outputs)
    if count <= _FEW_PARTS:
        return
    for text, order, lag in (
        ("each the one before, the first again", (0, *range(count - 1)), 1.0),
        ("each the one after, the last again", (*range(1, count), count - 1), -1.0),
    ):
        edit = Edit(node.index, partial(_reordered, order))
        yield Hypothesis(
            NAME, "source", f"{count} parts, one a step", text, view.site(node), (edit,), cost=1.2,
            value=lag,
        )  # fmt: skip


def _list(order: Any) -> str:
    return ", ".join(map(str, order))


def _nth(count: int) -> str:
    return {2: "second", 3: "third", 4: "fourth", 6: "sixth"}.get(count, f"{count}th")


def _reordered(order: tuple[int, ...], operands: Operands) -> tuple[Any, ...]:
    parts = operands.default()
    return tuple(parts[i] for i in order)


def _interleaved(count: int, operands: Operands) -> tuple[Any, ...]:
    """The parts with every count-th element, along the axis that was split."""
    parts, whole = operands.default(), operands.args[0]
    axis = next(
        i for i, (a, b) in enumerate(zip(whole.shape, parts[0].shape, strict=True)) if a != b
    )
    size = whole.shape[axis]
    return tuple(
        whole.index_select(axis, torch.arange(i, size, count, device=whole.device))
        for i in range(count)
    )


def _cuts(view: View) -> Iterator[Hypothesis]:
    """Slices of one tensor that are cut one by one."""
    siblings: dict[tuple[int, int, tuple[int, ...]], list[Node]] = {}
    for node in view.nodes:
        if node.name not in _CUTS or not node.outputs or not isinstance(node.args[:1][0], Ref):
            continue
        if any(True for _ in refs_of((node.args[1:], node.kwargs))):
            continue
        key = (node.args[0].value, node.span, view.shape(node.outputs[0]))
        siblings.setdefault(key, []).append(node)
    for nodes in siblings.values():
        if not 2 <= len(nodes) <= 6 or len({repr(n.args[1:]) for n in nodes}) != len(nodes):
            continue
        if _are_frames(view, nodes):
            continue
        family, parameter = context_of(view, tuple(v for n in nodes for v in n.outputs))
        for order in orders(len(nodes)):
            edits = tuple(
                Edit(node.index, partial(_cut_as, nodes[i].args[1:], dict(nodes[i].kwargs)))
                for node, i in zip(nodes, order, strict=True)
                if node is not nodes[i]
            )
            yield Hypothesis(
                family, parameter, f"parts {_list(range(len(nodes)))}", f"parts {_list(order)}",
                view.site(nodes[0]), edits, cost=1.1 if len(nodes) < 4 else 1.3,
            )  # fmt: skip


def _are_frames(view: View, nodes: list[Node]) -> bool:
    """Whether cuts are what one call after the other of a path is given: no order of parts."""
    known = given_to(view.tape)
    paths = [{path for path, _ in known.get(node.outputs[0], ())} for node in nodes]
    return bool(set.intersection(*paths))


def _cut_as(args: tuple[Any, ...], kwargs: dict[str, Any], operands: Operands) -> Any:
    """What another cut of the same tensor gives."""
    whole = operands.args[0]
    if kwargs or not args or not isinstance(args[0], tuple | slice | int) or len(args) > 1:
        name = "narrow" if len(args) + len(kwargs) == 3 else "select"
        return getattr(whole, name)(*args, **kwargs)
    return whole[args[0]]


def context_of(view: View, parts: tuple[int, ...]) -> tuple[str, str]:
    """What parts are: of a modulation, of an attention, or none of both."""
    readers = [node for value in parts for node in consumers_through(view, value)]
    if any(node.name == "scaled_dot_product_attention" for node in readers):
        return "attention", "qkv"
    scores = PRODUCTS | SOFTMAX
    if len(parts) == 3 and all(leads_to(view, value, scores, steps=4) for value in parts):
        return "attention", "qkv"
    if any(_modulates(view, node, parts) for node in readers):
        return "adaln", "order"
    return NAME, "chunks"


def _modulates(view: View, node: Node, parts: tuple[int, ...]) -> bool:
    """Whether a part is added to or multiplied onto something larger, or onto one plus it."""
    binary = as_binary(node)
    if binary is None or binary.kind not in ("add", "mul"):
        return False
    if binary.both is None:
        return binary.kind == "add" and 1.0 in (binary.left, binary.right)
    # Of equal sizes are gate and value of a gated product, which modulate nothing.
    sizes = [view.shape(value) for value in binary.both]
    return binary.kind == "add" and len(parts) in (2, 3, 4, 6, 9) and sizes[0] != sizes[1]


def _gated(view: View, node: Node) -> Iterator[Hypothesis]:
    """`act(a) * b`, of which a and b are exchanged."""
    for product in _products(view, node):
        binary = as_binary(product)
        if binary is None or binary.kind != "mul" or binary.both is None:
            continue
        for at, value in enumerate(binary.both):
            other = binary.both[1 - at]
            curve = producer_through(view, value)
            if curve is None or curve.name in LAYOUT or len(curve.inputs) != 1:
                continue
            gate = curve.inputs[0]
            if view.shape(gate) != view.shape(other) or gate == other or view.is_parameter(other):
                continue
            if node is product and view.inside(curve.index):
                yield from _gate_exchanged(view, product, at, gate, value)
            elif node is product:
                yield _exchange(view, node, other, lambda _, new: new, (gate,))
            elif node is curve:
                yield from _gate_reads_other(view, curve, gate, other)


def _products(view: View, node: Node) -> list[Node]:
    if node.name in ("mul", "mul_"):
        return [node]
    if len(node.outputs) != 1 or len(node.inputs) != 1 or node.name in LAYOUT:
        return []
    readers = view.tape.readers.get(node.outputs[0], ())
    return [n for i in readers if (n := view.tape.nodes[i]).name == "mul" and not view.inside(i)]


def _gate_exchanged(
    view: View, product: Node, at: int, gate: int, value: int
) -> Iterator[Hypothesis]:
    binary, curve = as_binary(product), program_between(view, gate, value)
    if binary is None or curve is None or curve.reads:
        return

    def compute(left: Tensor, right: Tensor, a: Tensor) -> Tensor:
        return curve((left, right)[1 - at], ()) * a

    edit = binary_edit(binary, compute, (gate,))
    yield _says(view, product, (edit,))


def _gate_reads_other(view: View, curve: Node, gate: int, other: int) -> Iterator[Hypothesis]:
    if view.tape.values[other].node < curve.index:
        yield _exchange(view, curve, gate, lambda _, new: new, (other,))
        return
    program = ahead_of_time(view, other, curve, most=6)
    if program is not None and curve.index not in program.nodes:
        yield _exchange(view, curve, gate, lambda _, *new: program(None, new), program.reads)


def _exchange(
    view: View, node: Node, value: int, compute: Any, reads: tuple[int, ...]
) -> Hypothesis:
    return _says(view, node, (operand_edit(node, places_of(node, value), compute, reads),))


def _says(view: View, node: Node, edits: tuple[Edit, ...]) -> Hypothesis:
    return Hypothesis(
        NAME, "chunks", "act(a) * b", "act(b) * a, gate and value exchanged", view.site(node),
        edits, cost=1.0,
    )  # fmt: skip


def _glu(view: View, node: Node) -> Iterator[Hypothesis]:
    """`glu`, a sigmoid of the second half, with the halves exchanged."""
    if node.name != "glu":
        return
    axis = view.argument(node, 1, "dim", -1)

    def swapped(operands: Operands) -> Tensor:
        a, b = operands.args[0].chunk(2, axis)
        made: Tensor = torch.sigmoid(a) * b
        return made

    yield _says(view, node, (Edit(node.index, swapped),))
    for name, function in FUNCTIONS.items():
        if name == "sigmoid":
            continue
        edit = Edit(node.index, partial(_gated_by, function, axis))
        cost = 1.0 if name in _GATES else 1.4
        yield Hypothesis(
            "activation", "function", "sigmoid", name, view.site(node), (edit,), cost=cost
        )


# What gated units in use are gated by.
_GATES = ("tanh", "SiLU", "GELU(erf)", "GELU(tanh)", "ReLU", "no activation")


def _gated_by(function: Callable[[Tensor], Tensor], axis: int, operands: Operands) -> Tensor:
    a, b = operands.args[0].chunk(2, axis)
    made: Tensor = a * function(b)
    return made
