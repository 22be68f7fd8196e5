"""Noise schedules: tables of what is left of an image, their ends, and what a network predicts.

A table of decreasing shares is compared with those that the known schedules give between the same
ends; where it is one of them, a port may have another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from parity.diagnose.arguments import as_binary, binary_edit, operand_edit, take
from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.view import View
from parity.diagnose.wording import distinct, each, fixed
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "schedule"
_FEWEST = 8  # entries of a table whose form can be told
_CLOSE = 1e-4


def propose(view: View) -> Iterator[Hypothesis]:
    """Other tables, other entries of all of a step, other meanings of a prediction."""
    for table, nodes in _read(view).items():
        yield from distinct(_entries(view, nodes, view.shape(table)[0]))
        yield from distinct(_tables(view, table, nodes))
    yield from each(view, _prediction)


def _read(view: View) -> dict[int, list[Node]]:
    """Tables of one axis of which single entries are read, with the operations that do."""
    found: dict[int, list[Node]] = {}
    for node in view.nodes:
        if node.name != "getitem" or len(node.args) != 2 or not isinstance(node.args[0], Ref):
            continue
        table = node.args[0].value
        shape, at = view.shape(table), node.args[1]
        if len(shape) != 1 or shape[0] < _FEWEST or not view.is_float(table) or not view.has(table):
            continue
        if (isinstance(at, Ref) or _is_index(at)) and fixed(view, table):
            found.setdefault(table, []).append(node)
    return found


def _is_index(at: Any) -> bool:
    return isinstance(at, int) and not isinstance(at, bool)


def _entries(view: View, nodes: list[Node], size: int) -> Iterator[Hypothesis]:
    """All that a step reads moved by one, and what stands beyond the end of the table."""
    site, said = view.site(nodes[0], "table"), "entries of the step"
    for text, by in (("those one before", -1), ("those one after", 1)):
        move = partial(_moved, by, size - 1)
        edits = tuple(operand_edit(node, (("args", 1),), move) for node in nodes)
        yield Hypothesis(NAME, "values", said, text, site, edits, cost=1.2, value=float(by))
    for at, name in ((0, "first"), (size - 1, "last")):
        for number in (1.0, 0.0):
            ended = [node for node in nodes if node.args[1] == at]
            for node in ended:
                edit = view.after(node, partial(torch.full_like, fill_value=number))
                text = f"{number:g} in the place of the table's {name}"
                yield Hypothesis(
                    NAME, "values", f"the table's {name} entry at the end", text,
                    view.site(node, f"{name} entry"), (_only_at(node, at, edit),), cost=1.3,
                    value=number,
                )  # fmt: skip


def _only_at(node: Node, at: int, edit: Edit) -> Edit:
    """A change that is made where the operation reads that entry."""

    def apply(operands: Operands) -> Any:
        same = take(operands.args, operands.kwargs, ("args", 1)) == at
        return edit.apply(operands) if bool(same) else operands.default()

    return Edit(node.index, apply)


def _moved(by: int, last: int, at: Any) -> Any:
    if isinstance(at, Tensor):
        return (at + by).clamp(0, last)
    return min(max(at + by, 0), last)


def _tables(view: View, table: int, nodes: list[Node]) -> Iterator[Hypothesis]:
    """The tables of other schedules with the same ends."""
    own = view.value(table)
    ends = _ends(own)
    if ends is None:
        return
    low, high = ends
    made = {name: form(low, high, own.shape[0]) for name, form in _SCHEDULES.items()}
    near = [name for name, values in made.items() if _alike(values, own)]
    if not near:
        return
    site = view.site(nodes[0], "table")
    for name, values in made.items():
        if name in near:
            continue
        new = values.to(own.dtype)
        edits = tuple(operand_edit(n, (("args", 0),), partial(_instead, new)) for n in nodes)
        yield Hypothesis(NAME, "values", near[0], name, site, edits, cost=1.1)


def _instead(new: Tensor, given: Tensor) -> Tensor:
    return new.to(given.device)


def _alike(values: Tensor, own: Tensor) -> bool:
    return bool((values - own.double()).abs().max() <= _CLOSE)


def _ends(own: Tensor) -> tuple[float, float] | None:
    """The first and last beta of a table of what is left; None if it is none."""
    shares = own.double()
    falling = bool(torch.isfinite(shares).all()) and bool((shares[1:] < shares[:-1]).all())
    if not falling or not 0 < float(shares[-1]) < float(shares[0]) < 1:
        return None
    return 1 - float(shares[0]), 1 - float(shares[-1] / shares[-2])


def _left(betas: Tensor) -> Tensor:
    return (1 - betas).cumprod(0)


def _cosine(low: float, high: float, size: int) -> Tensor:
    del low, high
    time = torch.arange(size + 1, dtype=torch.float64) / size
    shares = ((time + 0.008) / 1.008 * math.pi / 2).cos().square()
    return _left((1 - shares[1:] / shares[:-1]).clamp(max=0.999))


_SCHEDULES: dict[str, Callable[[float, float, int], Tensor]] = {
    "betas whose roots are linear": lambda low, high, size: _left(
        torch.linspace(low**0.5, high**0.5, size, dtype=torch.float64).square()
    ),
    "linear betas": lambda low, high, size: _left(
        torch.linspace(low, high, size, dtype=torch.float64)
    ),
    "betas whose logarithms are linear": lambda low, high, size: _left(
        torch.linspace(math.log(low), math.log(high), size, dtype=torch.float64).exp()
    ),
    "cosine": _cosine,
}


def _prediction(view: View, node: Node) -> Iterator[Hypothesis]:
    """`a x - b v`, with the squares of a and b adding up to one: v is a velocity."""
    binary = as_binary(node)
    if binary is None or binary.kind != "sub" or binary.both is None or node.written:
        return
    first, second = (_scaled(view, value) for value in binary.both)
    if first is None or second is None:
        return
    (a, x), (b, v) = first, second
    size = view.value(a).double().square() + view.value(b).double().square()
    if not bool(((size - 1).abs() <= _CLOSE).all()):
        return
    site, said = view.site(node), "the prediction as a velocity"
    forms: tuple[tuple[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor], float], ...] = (
        ("as the noise", lambda a, b, x, v: (x - b * v) / a, 1.1),
        ("as the image", lambda _a, _b, _x, v: v.clone(), 1.2),
        ("as a velocity of the other sign", lambda a, b, x, v: a * x + b * v, 1.3),
    )
    for text, compute, cost in forms:
        edit = binary_edit(binary, partial(_of_four, compute), (a, b, x, v))
        yield Hypothesis(NAME, "scale", said, text, site, (edit,), cost=cost)


def _of_four(compute: Callable[..., Tensor], _left: Any, _right: Any, *reads: Tensor) -> Tensor:
    return compute(*reads)


def _scaled(view: View, value: int) -> tuple[int, int] | None:
    """The number and the tensor that a value is the product of."""
    index = view.tape.values[value].node
    binary = as_binary(view.tape.nodes[index]) if index >= 0 else None
    if binary is None or binary.kind != "mul" or binary.both is None:
        return None
    for factor, tensor in (binary.both, binary.both[::-1]):
        if not view.has(factor) or not view.has(tensor):
            continue
        if view.value(factor).numel() == 1 < view.value(tensor).numel():
            return factor, tensor
    return None
