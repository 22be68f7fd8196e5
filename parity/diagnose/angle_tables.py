"""Angles of positions on their way into cosine and sine: positions times rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from parity.diagnose.chained import Chained
from parity.diagnose.layouts import MOVES
from parity.diagnose.rotations import theta_of
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref

__all__ = ["Table", "tables"]

Tensor = torch.Tensor
Angles = Callable[[Tensor], Tensor]
_TRIGONOMETRY = {"cos": 0, "sin": 0, "polar": 1, "cos_": 0, "sin_": 0}
_PASS = MOVES | {"cat", "stack", "mul", "div", "complex", "concat", "neg", "view_as_complex"}
_DOUBLED = {"": 1, "halves": 2, "interleaved": 2}


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The cosines and sines that a call computes from the same angles.

    Attributes:
        view: what it was found in.
        nodes: the operations that take cosine and sine, or make complex numbers.
        doubled: how each rate stands twice in a row: `halves`, `interleaved`, or not at all.
        rates: angle per position, each once; empty if it cannot be told.
        start: the first position; None if it cannot be told.
    """

    view: View
    nodes: tuple[Node, ...]
    doubled: str
    rates: tuple[float, ...]
    start: float | None

    @property
    def theta(self) -> float:
        """The base of the rates; NaN if they do not fall geometrically."""
        return theta_of(self.rates)

    def with_angles(self, change: Angles) -> tuple[Edit, ...]:
        """The change of the angles."""
        return tuple(Edit(node.index, Chained((node, change), _run)) for node in self.nodes)

    def with_rates(self, rates: Sequence[float], shift: Angles | None = None) -> tuple[Edit, ...]:
        """The change to other rates, and to other positions."""
        own = self.row(self.rates).double()
        row = self.row(rates)

        def change(angles: Tensor) -> Tensor:
            positions = (angles.double() @ own / (own @ own))[..., None]
            whole = positions.round()
            positions = torch.where((positions - whole).abs() < 2e-3, whole, positions)
            if shift is not None:
                positions = shift(positions)
            return (positions.float() * row).to(angles.dtype)

        return self.with_angles(change)

    def row(self, rates: Sequence[float]) -> Tensor:
        """Rates as they stand in a row of angles."""
        row = torch.tensor(list(rates), dtype=torch.float32)
        if self.doubled == "halves":
            return torch.cat([row, row])
        return row.repeat_interleave(2) if self.doubled == "interleaved" else row


def _run(operands: Operands, changes: Sequence[tuple[Node, Angles]]) -> Tensor:
    args = list(operands.args)
    node = changes[0][0]
    place = _TRIGONOMETRY[node.name]
    for _, change in changes:
        args[place] = change(args[place])
    made: Tensor = node.function(*args, **operands.kwargs)
    return made


def tables(view: View) -> list[Table]:
    """The tables of angles of a stretch whose cosines and sines tensors are multiplied by."""
    by_span: dict[int, list[Node]] = {}
    for node in view.nodes:
        if node.name in _TRIGONOMETRY and _angles(node) is not None and _multiplies(view, node):
            by_span.setdefault(node.span, []).append(node)
    found = [_table(view, nodes) for nodes in by_span.values()]
    return [table for table in found if table is not None]


def _angles(node: Node) -> int | None:
    place = _TRIGONOMETRY[node.name]
    argument = node.args[place] if len(node.args) > place else None
    return argument.value if isinstance(argument, Ref) and len(node.outputs) == 1 else None


def _multiplies(view: View, node: Node) -> bool:
    """Whether what is made of the angles ends in products with larger tensors."""
    tape = view.tape
    size = math.prod(view.shape(node.outputs[0]))
    queue, seen = [node.outputs[0]], 0
    while queue and seen < 40:
        value = queue.pop(0)
        for index in tape.readers.get(value, ())[:6]:
            reader = tape.nodes[index]
            seen += 1
            others = [v for v in reader.inputs if v != value]
            if reader.name in ("mul", "__mul__", "einsum", "matmul", "addcmul"):
                if any(math.prod(view.shape(v)) > size for v in others):
                    return True
                if any(len(view.shape(v)) > 1 and not view.is_constant(v) for v in others):
                    return reader.name != "matmul"
            if reader.name in _PASS:
                queue += [v for v in reader.outputs if view.is_float(v) or _complex(view, v)]
    return False


def _complex(view: View, value: int) -> bool:
    return view.tape.values[value].dtype.is_complex


def _table(view: View, nodes: Sequence[Node]) -> Table | None:
    value = _angles(nodes[0])
    if value is None or not view.has(value):
        return None
    angles = view.value(value)
    shape = angles.shape
    same = [n for n in nodes if (v := _angles(n)) is not None and view.shape(v)[-1:] == shape[-1:]]
    if angles.dim() < 1 or shape[-1] < 2 or not angles.numel() or not angles.is_floating_point():
        return None
    table = angles.detach().double().reshape(-1, shape[-1])
    if not bool(torch.isfinite(table).all()):
        return None
    doubled = _doubling(table)
    single = table
    if doubled == "halves":
        single = table[:, : shape[-1] // 2]
    elif doubled == "interleaved":
        single = table[:, ::2]
    rates = _rates(view, value, single)
    if rates is None:
        return Table(view, tuple(same), doubled, (), None)
    start = float(single[0] @ rates / (rates @ rates))
    return Table(view, tuple(same), doubled, tuple(rates.tolist()), start)


def _doubling(table: Tensor) -> str:
    count = table.shape[-1]
    if count % 2 or not bool(table.any()):
        return ""
    if torch.equal(table[:, : count // 2], table[:, count // 2 :]):
        return "halves"
    return "interleaved" if torch.equal(table[:, ::2], table[:, 1::2]) else ""


def _rates(view: View, value: int, table: Tensor) -> Tensor | None:
    """Angle per position of each column, if angles are positions times rates."""
    rates: Tensor | None = None
    if table.shape[0] > 1:
        steps = table[1:] - table[:-1]
        moving = steps[steps.abs().sum(-1) > 0]
        if not moving.numel():
            return None
        # The average keeps rounding of single angles out.
        rates = moving[moving[:, 0] > 0].mean(0) if bool((moving[:, 0] > 0).any()) else None
        if rates is not None and float((moving[0] - rates).abs().max()) > 1e-3:
            rates = moving[0]
    given = _given_rates(view, value, table.shape[-1])
    if given is not None and (rates is None or _along(given, rates)):
        rates = given
    if rates is None or not bool((rates > 0).all()):
        return None
    positions = table @ rates / (rates @ rates)
    error = (table - positions[:, None] * rates).norm()
    return rates if float(error) <= 1e-4 * float(table.norm()) + 1e-12 else None


def _given_rates(view: View, value: int, count: int) -> Tensor | None:
    """The rates as the reference has them: a factor of the product that the angles are."""
    queue, seen = [value], 0
    while queue and seen < 16:
        made = view.producer(queue.pop(0))
        seen += 1
        if made is None:
            continue
        if made.name in ("mul", "outer", "einsum", "matmul", "__mul__", "bmm", "ger", "div"):
            for one in made.inputs:
                if view.is_float(one) and view.has(one) and math.prod(view.shape(one)) == count:
                    rates = view.value(one).detach().double().flatten()
                    if bool((rates > 0).all()) and float(rates.max() / rates.min()) > 1.5:
                        return rates
        queue += [v for v in made.inputs if view.is_float(v)]
    return None


def _along(a: Tensor, b: Tensor) -> bool:
    """Whether rates are the same, not a multiple."""
    return float((a - b).norm()) <= 1e-3 * float(b.norm())
