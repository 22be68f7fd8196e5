"""What is cut off a convolution's result or input, and from which side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from parity.diagnose.carried import moved_slice
from parity.diagnose.constants import constants_of
from parity.diagnose.hypothesis import Hypothesis, Solve
from parity.diagnose.kernels import is_convolution
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import LEAF, Node, Tape

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "conv"
_MOST = 32


def propose(view: View) -> Iterator[Hypothesis]:
    """Other offsets of every indexing that cuts the end or beginning off a filtered signal."""
    constants = constants_of(view)
    for node in view.nodes:
        cut = moved_slice(view.tape, node)
        if cut is None or not view.is_float(node.inputs[0]) or constants.constant(node.inputs[0]):
            continue
        axis, extent, start, stop = cut
        spare = extent - (stop - start)
        if not 0 < spare <= _MOST or stop - start < spare or not _filtered(view.tape, node):
            continue
        yield from _offsets(view, node, axis, start, spare)


def _filtered(tape: Tape, node: Node) -> bool:
    """Whether what is cut comes from a convolution, or goes into one, a few operations away."""
    value = node.inputs[0]
    for _ in range(6):
        index = tape.values[value].node
        if index == LEAF:
            break
        maker = tape.nodes[index]
        if is_convolution(maker):
            return True
        if not maker.inputs:
            break
        value = maker.inputs[0]
    return any(is_convolution(tape.nodes[i]) for v in node.outputs for i in tape.readers.get(v, ()))


def _offsets(view: View, node: Node, axis: int, start: int, spare: int) -> Iterator[Hypothesis]:
    if start == 0:
        said = "cut at the end"
    elif start == spare:
        said = "cut at the beginning"
    else:
        said = "cut at both ends"
    options = {
        spare - spare // 2: "cut at both ends, more before",
        spare // 2: "cut at both ends",
        0: "cut at the end",
        spare: "cut at the beginning",
    }
    for offset, label in options.items():
        if offset != start:
            edit = _at(node, axis, offset, spare)
            yield Hypothesis(
                NAME, "alignment", said, label, view.site(node), (edit,),
                cost=1.0, value=float(offset),
            )  # fmt: skip

    def make(offset: float) -> tuple[Edit, ...]:
        return (_at(node, axis, int(offset), spare),)

    solve = Solve(make, 0, spare, scale="integer", reference=start)
    yield Hypothesis(
        NAME, "alignment", said, "kept from {value:.0f} on", view.site(node), solve=solve, cost=1.3
    )


def _at(node: Node, axis: int, offset: int, spare: int) -> Edit:
    def apply(operands: Operands) -> Any:
        if operands.args[1:] != node.args[1:]:
            return operands.default()  # another indexing that is counted alike in another call
        x: Tensor = operands.args[0]
        return x.narrow(axis, offset, x.shape[axis] - spare)

    return Edit(node.index, apply)
