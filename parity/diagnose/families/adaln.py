"""Modulation by a condition: `x * (1 + scale) + shift`, gates, and what computes them.

The order of the parts is in `chunks`, a dropped gate in `residual`, `1 + scale` read as `scale` in
`constants`: here is the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch.nn import functional

from parity.diagnose.arguments import as_binary, binary_edit, operand_edit, places_of
from parity.diagnose.families.chunks import context_of
from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.view import View
from parity.diagnose.wording import LAYOUT, consumers_through, each, fixed
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "adaln"
_SPLITS = frozenset({"chunk", "split", "unbind", "tensor_split", "getitem", "narrow"})
_MAPS = frozenset({"linear", "addmm", "matmul", "mm"})
# The curves that stand before the map that makes a modulation.
_CURVES = frozenset({
    "silu", "gelu", "relu", "mish", "tanh", "sigmoid", "silu_", "relu_", "elu", "softplus",
})  # fmt: skip


def propose(view: View) -> Iterator[Hypothesis]:
    """Scales that count from one, shifts with another sign, and activations of the condition."""
    yield from each(view, _scale)
    yield from each(view, _shift)
    yield from each(view, _activation_dropped)
    yield from each(view, _activation_added)


def _scale(view: View, node: Node) -> Iterator[Hypothesis]:
    """`x * scale` as `x * (1 + scale)`."""
    binary = as_binary(node)
    if binary is None or binary.kind != "mul" or binary.both is None:
        return
    for at, value in enumerate(binary.both):
        if not _modulates(view, value, binary.both[1 - at]):
            continue
        edit = binary_edit(binary, partial(_from_one, at))
        yield Hypothesis(
            NAME, "scale", "x * scale", "x * (1 + scale)", view.site(node), (edit,), cost=1.2
        )


def _from_one(at: int, left: Tensor, right: Tensor) -> Tensor:
    return left * (1 + right) if at else (1 + left) * right


def _modulates(view: View, value: int, whole: int) -> bool:
    """Whether a value is of a condition: fewer numbers than what it is applied to, not stored."""
    if not view.is_float(value) or not view.is_float(whole) or fixed(view, value):
        return False
    few, many = view.shape(value), view.shape(whole)
    if math.prod(few) < math.prod(many):
        return math.prod(few) > 1
    index = view.tape.values[value].node
    return few == many and index >= 0 and view.tape.nodes[index].name in _SPLITS


def _shift(view: View, node: Node) -> Iterator[Hypothesis]:
    """A shift that is subtracted, or left out."""
    binary = as_binary(node)
    if binary is None or binary.kind != "add" or binary.both is None:
        return
    for at, value in enumerate(binary.both):
        whole = binary.both[1 - at]
        if not _modulates(view, value, whole) or view.shape(value) == view.shape(whole):
            continue
        if not _is_product(view, whole):
            continue
        site = view.site(node)
        dropped = binary_edit(binary, lambda a, b, at=at: (b if at == 0 else a).clone())
        yield Hypothesis(
            NAME, "shift", "scaled x + shift", "scaled x, no shift", site, (dropped,), cost=1.1
        )
        first = binary_edit(binary, lambda a, b, at=at: b - a if at == 0 else a - b)
        yield Hypothesis(
            NAME, "shift", "scaled x + shift", "scaled x - shift", site, (first,), cost=1.6
        )


def _is_product(view: View, value: int) -> bool:
    index = view.tape.values[value].node
    return index >= 0 and view.tape.nodes[index].name in ("mul", "mul_")


def _makes_modulation(view: View, value: int) -> bool:
    """Whether a map of a value gives parts that modulate."""
    for node in consumers_through(view, value):
        if node.name not in _MAPS or len(node.outputs) != 1:
            continue
        made = node.outputs[0]
        for index in view.tape.readers.get(made, ()):
            split = view.tape.nodes[index]
            if split.name in _SPLITS and context_of(view, _parts(view, made, split)) == _ORDER:
                return True
    return False


_ORDER = ("adaln", "order")


def _parts(view: View, whole: int, split: Node) -> tuple[int, ...]:
    if len(split.outputs) > 1:
        return split.outputs
    readers = [view.tape.nodes[i] for i in view.tape.readers.get(whole, ())]
    return tuple(v for node in readers if node.name == split.name for v in node.outputs)


def _activation_dropped(view: View, node: Node) -> Iterator[Hypothesis]:
    if node.name not in _CURVES or len(node.outputs) != 1 or not node.inputs:
        return
    if not _makes_modulation(view, node.outputs[0]):
        return
    edit = Edit(node.index, _as_given)
    yield Hypothesis(
        NAME, "activation", f"{node.name} of the condition", "the condition as it is",
        view.site(node), (edit,),
    )  # fmt: skip


def _as_given(operands: Operands) -> Tensor:
    given: Tensor = operands.args[0]
    return given.clone()


def _activation_added(view: View, node: Node) -> Iterator[Hypothesis]:
    if node.name not in _MAPS or len(node.outputs) != 1 or not node.inputs:
        return
    source = node.inputs[0]
    index = view.tape.values[source].node
    before = view.tape.nodes[index].name if index >= 0 else ""
    if before in _CURVES or before in LAYOUT or not _makes_modulation(view, source):
        return
    for name, curve in (("silu", functional.silu), ("gelu", functional.gelu)):
        edit = operand_edit(node, places_of(node, source), curve)
        yield Hypothesis(
            NAME, "activation", "the condition as it is", f"{name} of the condition",
            view.site(node), (edit,), cost=1.2,
        )  # fmt: skip
