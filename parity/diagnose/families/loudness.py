"""Loudness of a signal: root mean square, mean magnitude, peak, deviation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from parity.diagnose.arguments import operand_edit, places_of
from parity.diagnose.constants import constants_of
from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.view import View
from parity.localize.execute import Edit
from parity.localize.tape import Node, Ref

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
Measure = Callable[[Tensor, Any], Tensor]
NAME = "audio"

_MEASURES: dict[str, tuple[Measure, float]] = {
    "root mean square": (lambda x, d: x.square().mean(d, keepdim=True).sqrt(), 1.0),
    "mean magnitude": (lambda x, d: x.abs().mean(d, keepdim=True), 1.0),
    "peak": (lambda x, d: x.abs().amax(d, keepdim=True), 1.0),
    "highest sample": (lambda x, d: x.amax(d, keepdim=True), 1.3),
    "power": (lambda x, d: x.square().mean(d, keepdim=True), 1.1),
    "deviation": (lambda x, d: x.std(d, correction=0, keepdim=True), 1.1),
    "deviation, n - 1": (lambda x, d: x.std(d, keepdim=True), 1.2),
    "length": (lambda x, d: x.square().sum(d, keepdim=True).sqrt(), 1.2),
    "one": (lambda x, d: torch.ones_like(x.amax(d, keepdim=True)), 1.2),
}
_MAGNITUDES = frozenset({"pow", "square", "abs", "mul"})
_REDUCTIONS = frozenset({"mean", "amax", "max", "std", "norm", "sum"})


def propose(view: View) -> Iterator[Hypothesis]:
    """Other measures of every signal that is reduced to one number, before weights have met it."""
    constants = constants_of(view)
    for node in view.nodes:
        if node.name not in _REDUCTIONS or not node.outputs or not node.inputs:
            continue
        if not constants.raw(node.inputs[0]) or constants.constant(node.inputs[0]):
            continue
        source, last = _source(view, node), _last(view, node)
        axes = _axes(view, node, source)
        if axes is not None and view.is_float(source) and view.has(source):
            yield from _measures(view, last, source, axes)


def _source(view: View, node: Node) -> int:
    """The signal whose squares or magnitudes are reduced."""
    value = node.inputs[0]
    for _ in range(2):
        maker = view.producer(value)
        if (
            maker is None
            or len(maker.inputs) != 1
            or maker.name not in {"pow", "square", "abs", "mul"}
        ):
            break
        if maker.name == "mul" and not all(isinstance(a, Ref) for a in maker.args):
            break  # scaled by a number, not squared
        value = maker.inputs[0]
    return value


def _last(view: View, node: Node) -> Node:
    """The end of what makes the loudness of the reduction: a floor, a root."""
    for _ in range(3):
        after = view.consumers(node.outputs[0])
        if len(after) != 1 or after[0].name not in {"add", "clamp", "clamp_min", "sqrt"}:
            return node
        if len(after[0].inputs) != 1 or len(after[0].outputs) != 1:
            return node
        node = after[0]
    return node


def _axes(view: View, node: Node, source: int) -> Any:
    """The axes that are reduced and kept, or None where the result is no loudness."""
    before, after = view.shape(source), view.shape(node.outputs[0])
    if len(before) != len(after) or not before:
        return None
    reduced = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    kept = all(after[i] == 1 for i in reduced)
    return tuple(reduced) if reduced and kept and len(before) <= 3 else None


def _measures(view: View, node: Node, source: int, axes: Any) -> Iterator[Hypothesis]:
    x, own = view.value(source), view.value(node.outputs[0])
    if not bool(torch.isfinite(x).all()):
        return
    made = {name: measure(x, axes) for name, (measure, _) in _MEASURES.items()}
    top = float(own.abs().max())
    near = [n for n, y in made.items() if torch.allclose(y, own, rtol=1e-4, atol=1e-6 * top)]
    reference = near[0] if near else "its own loudness"
    for name, (measure, cost) in _MEASURES.items():
        if name not in near:
            yield Hypothesis(
                NAME, "scale", f"loudness as {reference}", f"as {name}", view.site(node),
                _edits(view, node, source, _measured(measure, axes)),
                cost=cost, value=1.0 if name == "one" else None,
            )  # fmt: skip


def _edits(
    view: View, node: Node, source: int, compute: Callable[[Tensor], Tensor]
) -> tuple[Edit, ...]:
    """The change of the loudness; where an earlier reader is right, of those that follow alone."""
    result = node.outputs[0]
    readers = [view.tape.nodes[index] for index in view.tape.readers.get(result, ())]
    here = [reader for reader in readers if view.inside(reader.index)]
    if len(here) == len(readers) or not here or readers[0] in here:
        return (Edit(node.index, lambda operands: compute(operands.reads[0]), (source,)),)
    return tuple(
        operand_edit(reader, places_of(reader, result), lambda _, x: compute(x), (source,))
        for reader in here
    )


def _measured(measure: Measure, axes: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: measure(x, axes)
