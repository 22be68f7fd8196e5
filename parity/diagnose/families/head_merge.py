"""Heads: how they are put together again, and how keys and values are shared by queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from parity.diagnose.attention_sites import FUSED, PRODUCTS, SOFTMAX
from parity.diagnose.hypothesis import Hypothesis, Site
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "attention"
_JOINS = frozenset({"reshape", "view", "flatten", "contiguous"})
_TURNS = frozenset({"transpose", "permute", "swapaxes", "movedim", "swapdims", "moveaxis"})
_SHARES = frozenset({"repeat_interleave", "repeat", "expand", "tile", "reshape", "flatten", "view"})


def propose(view: View) -> Iterator[Hypothesis]:
    """Other ways to put heads together, to cut them, and to share keys and values."""
    if any(n.name == FUSED or n.name in SOFTMAX for n in view.nodes):
        yield from _merges(view)
        yield from _shared(view)


def _merges(view: View) -> Iterator[Hypothesis]:
    """Heads put together without turning them, or with the channel outside."""
    for node in view.nodes:
        if node.name not in _TURNS or not node.inputs or len(node.outputs) != 1:
            continue
        source, result = node.inputs[0], node.outputs[0]
        if len(view.shape(source)) != 4 or not view.is_float(source):
            continue
        joins = _join_after(view, result)
        if joins is not None and _from_mix(view, source):
            yield from _merge(view, node, joins)
        elif _from_split(view, source):
            yield from _split(view, node)


def _join_after(view: View, value: int) -> Node | None:
    """The operation that makes one axis of heads and channels."""
    for _ in range(3):
        readers = [r for r in view.consumers(value) if r.name in _JOINS]
        if not readers:
            return None
        shape = view.shape(readers[0].outputs[0]) if readers[0].outputs else ()
        if readers[0].outputs and len(shape) < len(view.shape(value)):
            return readers[0]
        if not readers[0].outputs:
            return None
        value = readers[0].outputs[0]
    return None


def _from_mix(view: View, value: int) -> bool:
    made = view.producer(value)
    return made is not None and (made.name in PRODUCTS or made.name == FUSED)


def _from_split(view: View, value: int) -> bool:
    made = view.producer(value)
    return made is not None and made.name in ("view", "reshape", "unflatten")


def _merge(view: View, node: Node, join: Node) -> Iterator[Hypothesis]:
    def unturned(operands: Operands) -> Tensor:
        made: Tensor = operands.default()
        return operands.reads[0].reshape(made.shape)

    heads = view.shape(node.outputs[0])[-2]

    def inner(operands: Operands) -> Tensor:
        made: Tensor = operands.default()
        return made.reshape(*made.shape[:-1], heads, -1).mT.reshape(made.shape)

    site = view.site(join, "merge")
    reference = "heads merged behind a transpose"
    yield Hypothesis(
        NAME, "merge", reference, "merged without it", site,
        (Edit(join.index, unturned, (node.inputs[0],)),), cost=1.0,
    )  # fmt: skip
    if len(view.shape(join.outputs[0])) == 3:
        yield Hypothesis(
            NAME, "merge", reference, "channels outside, heads inside", site,
            (Edit(join.index, inner),), cost=1.3,
        )  # fmt: skip


def _split(view: View, node: Node) -> Iterator[Hypothesis]:
    """Heads cut by one reshape, without turning them."""

    def reshaped(operands: Operands) -> Tensor:
        made: Tensor = operands.default()
        source: Tensor = operands.args[0]
        return source.reshape(made.shape)

    edits = (Edit(node.index, reshaped),)
    yield Hypothesis(
        NAME, "heads", "cut into heads, then turned", "reshaped to heads at once",
        Site(view.path(node), "split", node.source), edits, cost=1.4,
    )  # fmt: skip


def _shared(view: View) -> Iterator[Hypothesis]:
    """Keys and values of a group that go to other queries."""
    for node in view.nodes:
        if node.name == FUSED and node.kwargs.get("enable_gqa"):
            yield _said(view, node, (_tiled_call(view, node),), repeated=True)
            continue
        if node.name not in _SHARES or len(node.inputs) != 1 or len(node.outputs) != 1:
            continue
        order = _sharing(view, node)
        if order is not None:
            axis, other, repeated = order
            edit = view.after(node, _indexed(axis, other))
            yield _said(view, node, (edit,), repeated=repeated)


def _indexed(axis: int, order: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda y: y.index_select(axis, order)


def _said(view: View, node: Node, edits: tuple[Edit, ...], *, repeated: bool) -> Hypothesis:
    texts = ("queries 0, 1, ... share the first keys", "every g-th query shares the first keys")
    reference, candidate = texts if repeated else texts[::-1]
    site = Site(view.path(node), "sharing", node.source)
    return Hypothesis(NAME, "heads", reference, candidate, site, edits, cost=1.0)


def _tiled_call(view: View, node: Node) -> Edit:
    def tiled(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        q, k, v = args[:3]
        count = q.shape[-3] // k.shape[-3]
        repeats = [1] * (k.dim() - 3) + [count, 1, 1]
        return (q, k.repeat(repeats), v.repeat(repeats), *args[3:]), kwargs

    return view.with_arguments(node, tiled)


def _sharing(view: View, node: Node) -> tuple[int, Tensor, bool] | None:
    """Axis of the heads, the other order along it, and whether each is repeated in a row.

    Of a copy in several steps (a new axis, expanded, then flattened), the last one counts.
    """
    result = node.outputs[0]
    made = view.value(result) if view.has(result) else None
    if made is None or made.dim() != 4 or not made.numel():
        return None
    source = _fewer_heads(view, node, made.shape)
    if source is None:
        return None
    value, axis = source
    few = view.value(value)
    groups, heads = few.shape[axis], made.shape[axis]
    count = heads // groups
    in_row = torch.arange(heads) // count
    by_turns = torch.arange(heads) % groups
    for order, other, repeated in ((in_row, by_turns, True), (by_turns, in_row, False)):
        if torch.equal(few.index_select(axis, order), made):
            # The head of the result that holds group `other[h]`.
            first = other * count if repeated else other
            return axis, first, repeated
    return None


def _fewer_heads(view: View, node: Node, shape: Sequence[int]) -> tuple[int, int] | None:
    value = node.inputs[0]
    for _ in range(4):
        few = view.shape(value)
        if len(few) == 4 and view.has(value):
            differ = [i for i in range(4) if few[i] != shape[i]]
            if len(differ) == 1 and few[differ[0]] > 1 and not shape[differ[0]] % few[differ[0]]:
                return value, differ[0]
            if not differ:
                return None
        made = view.producer(value)
        if made is None or len(made.inputs) != 1:
            return None
        value = made.inputs[0]
    return None
