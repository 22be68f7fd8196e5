"""Which values of a stretch are weights and constants, and which were never met by weights."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator

import torch

from parity.diagnose.operands import Place, places
from parity.diagnose.view import View
from parity.localize.tape import LEAF, Node, Tape, refs_of

__all__ = ["Constants", "constants_of"]

Tensor = torch.Tensor

_MAPS = ("linear", "conv", "embedding", "lstm", "gru", "rnn", "matmul", "mm", "bmm", "einsum",
         "addmm", "baddbmm", "multi_head_attention", "bilinear", "scaled_dot_product")  # fmt: skip
_FEW = 64  # numbers that a program writes out by hand


class Constants:
    """What is constant in a stretch: parameters, buffers, and what is computed of them alone."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._tape = _of_tape(view.tape)
        self._constant: dict[int, bool] = {}
        self._names: dict[int, frozenset[int]] = {}
        self.readers: dict[int, list[tuple[Node, Place]]] = {}
        for node in view.nodes:
            for place, value in places(node):
                if view.is_parameter(value):
                    self.readers.setdefault(value, []).append((node, place))
            known = not node.written and all(self.constant(v) for v in node.inputs)
            for value in node.outputs:
                self._constant[value] = known and bool(node.inputs or self._is_made(node))
                if known:
                    self._names[value] = frozenset().union(*map(self.parameters, node.inputs))

    def constant(self, value: int) -> bool:
        """Whether a value depends on parameters and numbers alone."""
        found = self._constant.get(value)
        if found is not None:
            return found
        tape = self.view.tape
        if tape.values[value].node != LEAF:
            return False
        return bool(tape.values[value].name) or value not in self._tape.given

    def parameters(self, value: int) -> frozenset[int]:
        """The parameters and buffers that a constant value is made of."""
        if self.view.is_parameter(value):
            return frozenset({value})
        return self._names.get(value, frozenset())

    def weight_operands(self, node: Node) -> Iterator[tuple[Place, int]]:
        """The operands of an operation that are made of parameters."""
        for place, value in places(node):
            if self.constant(value) and self.parameters(value) and self.view.has(value):
                yield place, value

    def raw(self, value: int) -> bool:
        """Whether a value comes from the program's input without having met a weight matrix."""
        return value not in self._tape.cooked

    def named(self) -> dict[str, Tensor]:
        """All parameters and buffers of the model with numbers in them, by name."""
        return self._tape.named

    def _is_made(self, node: Node) -> bool:
        """Whether an operation without inputs makes a constant, not the program's own input."""
        if node.name == "tensor" and node.span < 0:
            return all(math.prod(self.view.shape(v)) <= _FEW for v in node.outputs)
        return node.name in {
            "zeros",
            "ones",
            "full",
            "arange",
            "tensor",
            "linspace",
            "eye",
            "empty",
        }


class _OfTape:
    def __init__(self, tape: Tape) -> None:
        self.given = {tap.value for tap in tape.taps} | set(tape.draws)
        for span in tape.spans:
            self.given.update(refs_of((span.args, span.kwargs)))
        for node in tape.nodes:
            if node.span < 0:
                self.given.update(node.inputs)  # the program's own tensors: its inputs
        self.named = _named(tape)
        self.cooked: set[int] = set()
        draws = set(tape.draws)
        self.cooked |= draws
        for node in tape.nodes:
            if any(v in self.cooked for v in node.inputs) or self._cooks(tape, node):
                self.cooked.update(node.outputs)
                self.cooked.update(node.written)

    def _cooks(self, tape: Tape, node: Node) -> bool:
        """Whether an operation mixes channels by weights; filters of one sign do not."""
        if not node.name.startswith(_MAPS):
            return False
        for value in node.inputs:
            known = tape.values[value]
            if known.node != LEAF or not known.name or not known.dtype.is_floating_point:
                continue
            if len(known.shape) >= 2 and float(tape.leaves[value].tensor.min()) >= 0:
                return False
        return True


def _named(tape: Tape) -> dict[str, Tensor]:
    """What the run read and what else its modules hold: an expert that was not asked, say."""
    found = {
        known.name: tape.leaves[value].tensor
        for value, known in enumerate(tape.values)
        if known.node == LEAF and known.name
    }
    modules = {s.path: s.module for s in tape.spans if s.parent < 0 and s.module is not None}
    for path, module in modules.items():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            found.setdefault(f"{path}.{name}", tensor.detach())
    return {n: t for n, t in found.items() if t.is_floating_point() and t.numel()}


_VIEWS: weakref.WeakKeyDictionary[View, Constants] = weakref.WeakKeyDictionary()
_TAPES: weakref.WeakKeyDictionary[Tape, _OfTape] = weakref.WeakKeyDictionary()


def constants_of(view: View) -> Constants:
    """The constants of a stretch, found once for all families."""
    found = _VIEWS.get(view)
    if found is None:
        found = _VIEWS[view] = Constants(view)
    return found


def _of_tape(tape: Tape) -> _OfTape:
    found = _TAPES.get(tape)
    if found is None:
        found = _TAPES[tape] = _OfTape(tape)
    return found
