"""Parameters kept in another form: logarithms, sums with counts, numerators with denominators.

A site is an operation that makes a parameter what is used: `exp(log_scale)`, `sums / counts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from parity.diagnose.constants import Constants, constants_of
from parity.diagnose.hypothesis import Hypothesis, Site
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "weights"

_FORMS = {
    "exp": "kept as a logarithm",
    "exp2": "kept as a logarithm",
    "softplus": "kept before a softplus",
    "sigmoid": "kept as a logit",
    "tanh": "kept before a tanh",
    "square": "kept as a root",
    "sqrt": "kept as a square",
    "rsqrt": "kept as a variance",
    "log": "kept as an exponential",
    "reciprocal": "kept as an inverse",
    "neg": "kept with the other sign",
    "abs": "kept with a sign",
}


def propose(view: View) -> Iterator[Hypothesis]:
    """The stored numbers taken as they are, in one place or in all of a call."""
    constants = constants_of(view)
    calls: dict[tuple[str, str], list[Node]] = {}
    for node in view.nodes:
        if len(node.outputs) != 1 or node.written or not node.inputs:
            continue
        if not constants.constant(node.outputs[0]) or not constants.parameters(node.outputs[0]):
            continue
        if node.name in _FORMS and len(node.inputs) == 1:
            calls.setdefault((view.path(node), node.name), []).append(node)
        elif node.name in {"div", "mul"} and len(node.inputs) == 2:
            yield from _combined(view, constants, node)
    for (path, name), nodes in calls.items():
        yield from _as_stored(view, path, name, nodes)


def _as_stored(view: View, path: str, name: str, nodes: Sequence[Node]) -> Iterator[Hypothesis]:
    said, label = f"parameter {_FORMS[name]}", "taken as stored"
    edits: tuple[Edit, ...]
    for node in nodes:
        edits = (Edit(node.index, _first),)
        stored = view.value(node.inputs[0])
        value = float(stored) if stored.numel() == 1 else None
        site = view.site(node)
        yield Hypothesis(NAME, "scale", said, label, site, edits, cost=1.05, value=value)
    places = {node.occurrence for node in nodes}
    if len(places) > 1:
        edits = tuple(Edit(node.index, _first) for node in nodes)
        site = Site(path, f"{name} of parameters", nodes[0].source)
        yield Hypothesis(
            NAME,
            "scale",
            f"parameters {_FORMS[name]}",
            "all taken as stored",
            site,
            edits,
            cost=1.0,
        )


def _first(operands: Operands) -> Tensor:
    found: Tensor = operands.args[0] if operands.args else operands.kwargs["input"]
    return found


def _combined(view: View, constants: Constants, node: Node) -> Iterator[Hypothesis]:
    """A table divided or multiplied by numbers of its own rows."""
    shape = view.shape(node.outputs[0])
    left, right = (constants.parameters(v) for v in node.inputs)
    if len([n for n in shape if n > 1]) < 2 or not left or not right or left & right:
        return
    table = 0 if view.shape(node.inputs[0]) == shape else 1
    if view.shape(node.inputs[table]) != shape or len(node.args) != 2:
        return
    words = ("times", "divided by") if node.name == "mul" else ("divided by", "times")
    options: list[tuple[str, Callable[[Operands], Tensor], float]] = [
        ("the table alone", lambda o: o.args[table], 0.95),
        (f"{words[1]} them", _other_way(node.name), 1.4),
    ]
    said = f"table {words[0]} numbers of its rows"
    for label, apply, cost in options:
        edits = (Edit(node.index, apply),)
        yield Hypothesis(NAME, "scale", said, label, view.site(node), edits, cost=cost)


def _other_way(name: str) -> Callable[[Operands], Tensor]:
    def apply(operands: Operands) -> Tensor:
        a, b = operands.args
        made: Tensor = a / b if name == "mul" else a * b
        return made

    return apply
