"""Resizing: nearest, linear, cubic, which samples coincide, and whether shrinking is smoothed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from parity.diagnose.constants import constants_of
from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.resampling import RULES, Rule, resample
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "resize"
_CALLS = frozenset({"interpolate", "upsample", "upsample_nearest", "upsample_bilinear"})


def propose(view: View) -> Iterator[Hypothesis]:
    """Every other rule wherever the reference resizes, or repeats the elements of a map."""
    for node in view.nodes:
        if len(node.outputs) != 1 or not node.inputs or node.written:
            continue
        axes = _resized(view, node)
        if axes:
            yield from _rules(view, node, axes)


def _resized(view: View, node: Node) -> tuple[int, ...]:
    """The axes, from the end, that an operation resizes; none if it does something else."""
    source, result = node.inputs[0], node.outputs[0]
    before, after = view.shape(source), view.shape(result)
    if len(before) != len(after) or len(before) < 3 or not view.is_float(source):
        return ()
    if 0 in before or 0 in after:
        return ()
    if node.name in _CALLS:
        return tuple(range(2 - len(before), 0))
    if node.name == "repeat_interleave":
        axes = tuple(i - len(before) for i in range(len(before)) if before[i] != after[i])
        return axes if len(axes) == 1 and axes[0] >= 2 - len(before) else ()
    return ()


def _rules(view: View, node: Node, axes: tuple[int, ...]) -> Iterator[Hypothesis]:
    source, result = node.inputs[0], node.outputs[0]
    if not view.has(source) or not view.has(result):
        return
    family = _family(view, source)
    x, y = view.value(source), view.value(result)
    reference = next((name for name, rule in RULES.items() if _is(x, y, axes, rule)), node.name)
    for name, rule in RULES.items():
        if name != reference:
            edit = _edit(node, axes, rule)
            cost = 1.0 if "first" not in name and "a=" not in name else 1.2
            yield Hypothesis(family, "resize", reference, name, view.site(node), (edit,), cost=cost)


def _family(view: View, source: int) -> str:
    """Whose resizing it is: of a stored table, of what the program is given, of features."""
    constants = constants_of(view)
    if constants.constant(source) and constants.parameters(source):
        return "positional"
    return "preprocess" if constants.raw(source) else "conv"


def _is(x: Tensor, y: Tensor, axes: tuple[int, ...], rule: Rule) -> bool:
    top = float(y.abs().max())
    if not math.isfinite(top):
        return False
    made = _resample(x[:1], y[:1].shape, axes, rule)
    return torch.allclose(made, y[:1], rtol=1e-4, atol=1e-5 * top)


def _resample(x: Tensor, shape: tuple[int, ...], axes: tuple[int, ...], rule: Rule) -> Tensor:
    first = axes[0]
    trailing = tuple(range(first, 0))
    return resample(x, tuple(shape[axis] for axis in trailing), rule)


def _edit(node: Node, axes: tuple[int, ...], rule: Rule) -> Edit:
    def apply(operands: Operands) -> Tensor:
        x: Tensor = operands.args[0] if operands.args else operands.kwargs["input"]
        return _resample(x, tuple(operands.default().shape), axes, rule)

    return Edit(node.index, apply)
