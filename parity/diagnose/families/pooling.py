"""Reductions and picks: a mean for a sum, another axis, the first, the last, another item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from parity.diagnose.arguments import as_binary, operand_edit
from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.literals import ROOTS
from parity.diagnose.view import View
from parity.diagnose.wording import distinct, each, leads_to
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
    yield from each(view, _masked_mean)
    yield from each(view, _axis)
    yield from each(view, _running)
    yield from distinct(_spread(view))
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
    if node.name in ("mean", "sum", "amax", "amin") and keep and view.shape(node.inputs[0])[0] > 1:
        edit = Edit(node.index, partial(_over_whole, node.name))
        said = (f"{own} of each row", f"{own} of the whole batch")
        yield Hypothesis(NAME, "axis", *said, site, (edit,), cost=1.4)
    for axis in _other_axes(view, node, axes):
        edit = Edit(node.index, partial(_reduced, _REDUCTIONS[node.name], axis, keep))
        text = f"{own} over axis {axis}"
        yield Hypothesis(NAME, "axis", own, text, site, (edit,), cost=1.5)


def _over_whole(name: str, operands: Operands) -> Tensor:
    made: Tensor = operands.default()
    whole: Tensor = getattr(operands.args[0], name)()
    return whole.expand_as(made).clone()


def _spread(view: View) -> Iterator[Hypothesis]:
    """Deviations that are measured over all axes, the batch's too, all of a call together."""
    by_call: dict[tuple[str, int], list[Node]] = {}
    for node in view.nodes:
        plain = len(node.outputs) == 1 and isinstance(
            view.argument(node, 1, "dim"), int | tuple | list
        )
        if plain and _measures_spread(view, node):
            by_call.setdefault((node.name, node.span), []).append(node)
    for (name, _), nodes in by_call.items():
        edits = tuple(Edit(node.index, partial(_over_all, name)) for node in nodes)
        yield Hypothesis(
            "norm", "axis", f"{name} of each row", f"{name} of the whole batch",
            view.site(nodes[0]), edits, cost=1.3,
        )  # fmt: skip


def _measures_spread(view: View, node: Node) -> bool:
    if node.name == "mean":
        return leads_to(view, node.outputs[0], ROOTS, steps=2)
    return node.name in ("std", "var", "norm")


def _over_all(name: str, operands: Operands) -> Tensor:
    made: Tensor = operands.default()
    whole: Tensor = getattr(operands.args[0], name)()
    return whole.expand_as(made)


def _masked_mean(view: View, node: Node) -> Iterator[Hypothesis]:
    """`sum(x * mask) / sum(mask)`, and what else is made of a row of items."""
    found = _masked_sum(view, node)
    if found is None:
        return
    x, axis, keep = found
    site, own = view.site(node), "mean of what is not masked"
    forms: tuple[tuple[str, str, str, Reduce, float], ...] = (
        ("mask", "padding", "mean of all, padding too", _REDUCTIONS["mean"], 1.0),
        (NAME, "pooling", "first item", _first, 1.0),
        (NAME, "pooling", "last item", _last, 1.1),
        (NAME, "pooling", "maximum", _REDUCTIONS["amax"], 1.2),
    )
    for family, parameter, text, reduce, cost in forms:
        edit = Edit(node.index, partial(_read_reduced, reduce, axis, keep), (x,))
        yield Hypothesis(family, parameter, own, text, site, (edit,), cost=cost)


def _read_reduced(reduce: Reduce, axis: int, keep: bool, operands: Operands) -> Tensor:
    return reduce(operands.reads[0], axis, keep)


def _masked_sum(view: View, node: Node) -> tuple[int, int, bool] | None:
    """What is averaged, over which axis, and whether the axis is kept."""
    binary = as_binary(node)
    if binary is None or binary.kind != "div" or binary.both is None or not node.outputs:
        return None
    summed = view.producer(binary.both[0])
    if summed is None or summed.name != "sum" or not isinstance(summed.args[0], Ref):
        return None
    axes = _listed(view.argument(summed, 1, "dim"))
    inner = view.producer(summed.args[0].value)
    masked = as_binary(inner) if inner is not None else None
    if len(axes) != 1 or type(axes[0]) is not int or masked is None or masked.both is None:
        return None
    if masked.kind != "mul":
        return None
    keep = bool(view.argument(summed, 2, "keepdim", default=False))
    for x, mask in (masked.both, masked.both[::-1]):
        same = view.shape(x) == view.shape(summed.args[0].value)
        if same and view.has(mask) and _is_mask(view.value(mask)):
            return x, axes[0], keep
    return None


def _is_mask(x: Tensor) -> bool:
    return bool(((x == 0) | (x == 1)).all())


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
        family, cost = ("norm", 1.0) if node.name == "normalize" else (NAME, 1.7)
        yield Hypothesis(family, "axis", reference, text, view.site(node), (edit,), cost=cost)


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
        yield from _pooled_instead(view, node, axis, index)


def _pooled_instead(view: View, node: Node, axis: int, index: int) -> Iterator[Hypothesis]:
    """One item of an axis in the reference, a mean or the largest of them in the candidate."""
    whole, made = view.shape(node.args[0].value), view.shape(node.outputs[0])
    own = index % whole[axis]
    if whole[axis] < 3 or made != whole[:axis] + whole[axis + 1 :]:
        return
    others = [place for place in range(whole[axis]) if place != own]
    forms: tuple[tuple[str, Callable[[Tensor], Tensor], float], ...] = (
        ("mean of the other items", lambda x: x[_along(axis, others)].mean(axis), 1.4),
        ("mean of all items", lambda x: x.mean(axis), 1.4),
        ("largest of all items", lambda x: x.amax(axis), 1.6),
        ("sum of all items", lambda x: x.sum(axis), 1.7),
    )
    for text, compute, cost in forms:
        edit = Edit(node.index, partial(_of_whole, compute))
        site = view.site(node)
        yield Hypothesis(NAME, "source", f"item {index}", text, site, (edit,), cost=cost)


def _along(axis: int, places: list[int]) -> tuple[Any, ...]:
    return (*[slice(None)] * axis, places)


def _of_whole(compute: Callable[[Tensor], Tensor], operands: Operands) -> Tensor:
    return compute(operands.args[0])


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
