"""Reductions and picks: a mean for a sum, another axis, the first, the last, another item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from parity.diagnose.arguments import operand_edit
from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.literals import ROOTS
from parity.diagnose.view import View
from parity.diagnose.wording import each, leads_to
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "graph"

Reduce = Callable[[Tensor, Any, bool], Tensor]


def _first(x: Tensor, axes: Any, keep: bool) -> Tensor:
    return _item(x, axes, 0, keep)


def _last(x: Tensor, axes: Any, keep: bool) -> Tensor:
    return _item(x, axes, -1, keep)


def _item(x: Tensor, axes: Any, index: int, keep: bool) -> Tensor:
    for axis in sorted((a % x.dim() for a in _listed(axes)), reverse=True):
        place = index % x.shape[axis]
        x = x.narrow(axis, place, 1) if keep else x.select(axis, place)
    return x


def _listed(axes: Any) -> tuple[int, ...]:
    return tuple(axes) if isinstance(axes, tuple | list) else (axes,)


_REDUCTIONS: dict[str, Reduce] = {
    "mean": lambda x, axes, keep: x.mean(axes, keepdim=keep),
    "sum": lambda x, axes, keep: x.sum(axes, keepdim=keep),
    "amax": lambda x, axes, keep: x.amax(axes, keepdim=keep),
    "amin": lambda x, axes, keep: x.amin(axes, keepdim=keep),
}
_SPOKEN = {"mean": "mean", "sum": "sum", "amax": "maximum", "amin": "minimum"}
# Operations along an axis: where it stands among the arguments.
_ALONG: dict[str, int] = {
    "argmax": 1, "argmin": 1, "cumsum": 1, "cumprod": 1, "softmax": 1, "log_softmax": 1, "flip": 1,
    "logsumexp": 1, "sort": 1, "argsort": 1, "max": 1, "min": 1, "std": 1, "var": 1, "prod": 1,
    "norm": 2, "roll": 2, "median": 1, "normalize": 2, "glu": 1, "diff": 2,
}  # fmt: skip


def propose(view: View) -> Iterator[Hypothesis]:
    """Other reductions, axes and items."""
    yield from each(view, _reduction)
    yield from each(view, _axis)
    yield from each(view, _running)
    yield from each(view, _pick)


def _reduction(view: View, node: Node) -> Iterator[Hypothesis]:
    if node.name not in _REDUCTIONS or len(node.outputs) != 1 or not view.is_float(node.outputs[0]):
        return
    if leads_to(view, node.outputs[0], ROOTS, steps=2):
        return  # statistics of a norm, which has a family of its own
    axes = view.argument(node, 1, "dim")
    if not isinstance(axes, int | tuple | list) or isinstance(axes, Ref):
        return
    keep = bool(view.argument(node, 2, "keepdim", default=False))
    own, site = _SPOKEN[node.name], view.site(node)
    others: dict[str, Reduce] = {
        f"{_SPOKEN[name]}": reduce for name, reduce in _REDUCTIONS.items() if name != node.name
    }
    for text, reduce in {**others, "first item": _first, "last item": _last}.items():
        edit = Edit(node.index, partial(_reduced, reduce, axes, keep))
        yield Hypothesis(NAME, "pooling", own, text, site, (edit,), cost=1.3)
    for axis in _other_axes(view, node, axes):
        edit = Edit(node.index, partial(_reduced, _REDUCTIONS[node.name], axis, keep))
        text = f"{own} over axis {axis}"
        yield Hypothesis(NAME, "axis", own, text, site, (edit,), cost=1.5)


def _reduced(reduce: Reduce, axes: Any, keep: bool, operands: Operands) -> Tensor:
    return reduce(operands.args[0], axes, keep)


def _other_axes(view: View, node: Node, axes: Any) -> list[int]:
    """Axes that are as long, so that the result has the same shape."""
    listed = _listed(axes)
    if len(listed) != 1 or not isinstance(node.args[:1][0], Ref):
        return []
    shape = view.shape(node.args[0].value)
    own = listed[0] % len(shape)
    return [axis for axis, size in enumerate(shape) if axis != own and size == shape[own]]


def _axis(view: View, node: Node) -> Iterator[Hypothesis]:
    """Another axis, where it is named by a number."""
    position = _ALONG.get(node.name)
    if position is None or not node.inputs or not isinstance(node.args[:1][0], Ref):
        return
    by_name = next((name for name in ("dim", "dims", "axis") if name in node.kwargs), "dim")
    axis = view.argument(node, position, by_name)
    if isinstance(axis, tuple | list) and len(axis) == 1:
        axis = axis[0]
    if not isinstance(axis, int) or isinstance(axis, bool):
        return
    shape = view.shape(node.args[0].value)
    place = ("args", position) if len(node.args) > position else ("kwargs", by_name)
    for other in range(len(shape)):
        if other == axis % len(shape) or shape[other] < 2:
            continue
        edit = operand_edit(node, (place,), partial(_in_form, other))
        reference = f"{node.name} over axis {axis}"
        text = f"{node.name} over axis {other - len(shape) if axis < 0 else other}"
        yield Hypothesis(NAME, "axis", reference, text, view.site(node), (edit,), cost=1.7)


def _in_form(axis: int, given: Any) -> Any:
    return type(given)([axis]) if isinstance(given, tuple | list) else axis


def _running(view: View, node: Node) -> Iterator[Hypothesis]:
    """Running sums that leave out their own item, or run from the end; sorting the other way."""
    site = view.site(node)
    if node.name == "cumsum" and len(node.outputs) == 1:
        axis = view.argument(node, 1, "dim")
        if isinstance(axis, int):
            forms: tuple[tuple[str, Callable[[Operands], Tensor]], ...] = (
                ("without the item itself", lambda o: o.default() - o.args[0]),
                ("from the end", lambda o: o.args[0].flip(axis).cumsum(axis).flip(axis)),
            )
            for text, compute in forms:
                edit = Edit(node.index, compute)
                yield Hypothesis(NAME, "order", "running sum", text, site, (edit,), cost=1.5)
    if node.name in ("sort", "argsort", "topk"):
        position, name, own = (
            (3, "largest", True) if node.name == "topk" else (2, "descending", False)
        )
        descending = bool(view.argument(node, position, name, own))
        edit = Edit(node.index, partial(_sorted, position, name, not descending))
        words = ("ascending", "descending")
        yield Hypothesis(
            NAME, "order", words[descending], words[not descending], site, (edit,), cost=1.5
        )


def _sorted(position: int, name: str, descending: bool, operands: Operands) -> Any:
    args, kwargs = operands.args[:position], dict(operands.kwargs)
    kwargs[name] = descending
    function = getattr(torch, "topk" if name == "largest" else "sort")
    if name == "descending" and isinstance(operands.default(), Tensor):
        function = torch.argsort
    return function(*args, **kwargs)


def _pick(view: View, node: Node) -> Iterator[Hypothesis]:
    """`x[:, i]` with another i."""
    if node.name not in ("getitem", "select") or not isinstance(node.args[:1][0], Ref):
        return
    if not view.is_float(node.args[0].value) or len(node.outputs) != 1:
        return
    shape = view.shape(node.args[0].value)
    for at, axis, index in _picked(node):
        size = shape[axis]
        own = index % size
        for other in dict.fromkeys((0, size - 1, own - 1, own + 1)):
            if other == own or not 0 <= other < size:
                continue
            edit = Edit(node.index, partial(_with_item, at, other))
            name = "last item" if other == size - 1 else f"item {other}"
            site, reference = view.site(node), f"item {index}"
            yield Hypothesis(NAME, "source", reference, name, site, (edit,), cost=1.5)


def _picked(node: Node) -> Iterator[tuple[int, int, int]]:
    """Whole numbers in an index: their place in it, the axis, the number."""
    if node.name == "select":
        if len(node.args) == 3 and all(type(a) is int for a in node.args[1:]):
            yield -1, node.args[1], node.args[2]
        return
    index = node.args[1]
    parts = index if isinstance(index, tuple) and not isinstance(index, Ref) else (index,)
    axis = 0
    for at, part in enumerate(parts):
        if part is None:
            continue
        if part is Ellipsis or isinstance(part, Ref | bool | list):
            return
        if type(part) is int:
            yield at, axis, part
        axis += 1


def _with_item(at: int, item: int, operands: Operands) -> Tensor:
    x = operands.args[0]
    found: Tensor
    if at < 0:
        found = x.select(operands.args[1], item)
        return found
    index = operands.args[1]
    parts = list(index) if isinstance(index, tuple) else [index]
    parts[at] = item
    found = x[tuple(parts)]
    return found
