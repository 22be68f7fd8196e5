"""Histories longer than the reference's, for wider kernels and windows that begin earlier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from parity.diagnose.carried import JOINS, Stream, sliced, streams_of
from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.kernels import (
    Convolution,
    arguments_of,
    is_convolution,
    padded,
    run_convolution,
)
from parity.diagnose.operands import Place, changed
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Tape

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "history"


def propose(view: View) -> Iterator[Hypothesis]:
    """Longer histories of every causal convolution that carries one."""
    for node in view.nodes:
        if not is_convolution(node) or "transpose" in node.name or node.span < 0:
            continue
        weight = view.tensor_argument(node, 1, "weight")
        source = view.tensor_argument(node, 0, "input")
        if weight is None or source is None or len(view.shape(weight)) != 3:
            continue
        how = arguments_of(node, view.shape(weight)[2:])
        stream = _stream(view.tape, source)
        if how is not None and stream is not None:
            yield from _phases(view, node, how, stream)
            yield from _dilations(view, node, how, stream, view.shape(weight)[2])


def _phases(view: View, node: Node, how: Convolution, stream: Stream) -> Iterator[Hypothesis]:
    said, site = "windows end with the input", view.site(node)
    for more in range(1, min(how.stride[0], 5)):
        edits = _lengthened(view.tape, stream, more)
        label = f"windows begin {more} early"
        yield Hypothesis("conv", "alignment", said, label, site, edits, cost=1.2)
    for more in (1, 2):
        edits = (*_lengthened(view.tape, stream, more), _shortened(node, how, more))
        label = f"history ends {more} early, newest left out"
        yield Hypothesis("conv", "alignment", said, label, site, edits, cost=1.4)


def _dilations(
    view: View, node: Node, how: Convolution, stream: Stream, kernel: int
) -> Iterator[Hypothesis]:
    own = how.dilation[0]
    for dilation in (2, 3, 4, 6, 8, 9):
        if dilation <= own or kernel < 2:
            continue
        wide = _shortened(node, replace(how, dilation=(dilation,)), 0)
        edits = (*_lengthened(view.tape, stream, (kernel - 1) * (dilation - own)), wide)
        label = f"dilation={dilation}, history as long"
        yield Hypothesis(
            "conv", "dilation", f"dilation={own}", label, view.site(node), edits, cost=0.95
        )


def _shortened(node: Node, how: Convolution, less: int) -> Edit:
    """The convolution of its input without the last samples."""

    def apply(operands: Operands) -> Tensor:
        x: Tensor = operands.args[0] if operands.args else operands.kwargs["input"]
        return run_convolution(how, operands, padded(x, ((0, -less),)))

    return Edit(node.index, apply)


def _stream(tape: Tape, source: int) -> Stream | None:
    """The stream that a convolution's input is joined or padded by."""
    index = tape.values[source].node
    if index < 0 or tape.nodes[index].name not in {*JOINS, "pad"}:
        return None
    return streams_of(tape).get(tape.path(tape.nodes[index]))


def _lengthened(tape: Tape, stream: Stream, more: int) -> tuple[Edit, ...]:
    """A history that begins earlier, in every call and in what stands for it in the first."""
    edits = [
        e for node in stream.slicers.values() if (e := sliced(tape, node, -more, 0)) is not None
    ]
    for node in stream.pads.values():
        amounts = node.args[1] if len(node.args) > 1 else node.kwargs.get("pad")
        if isinstance(amounts, tuple | list) and len(amounts) == 2:
            place: Place = ("a", 1) if len(node.args) > 1 else ("k", "pad")
            edits.append(changed(node, {place: lambda own, _: (own[0] + more, *own[1:])}))
    return tuple(edits)
