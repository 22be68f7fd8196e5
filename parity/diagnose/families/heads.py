"""Heads: how channels are cut into queries, keys, values and heads, shared, and put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from typing import Any

import torch

from parity.diagnose.attention_module import MODULE, ModuleCall
from parity.diagnose.attention_sites import FUSED, PRODUCTS, SOFTMAX, Attention, attentions
from parity.diagnose.hypothesis import Hypothesis, Site
from parity.diagnose.layouts import Part, moved_parts
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref, resolve

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "attention"
_JOINS = frozenset({"reshape", "view", "flatten", "contiguous"})
_TURNS = frozenset({"transpose", "permute", "swapaxes", "movedim", "swapdims", "moveaxis"})
_SHARES = frozenset({"repeat_interleave", "repeat", "expand", "tile", "reshape", "flatten", "view"})


def propose(view: View) -> Iterator[Hypothesis]:
    """Other cuts of projections and other ways to put heads together or share them."""
    attends = any(n.name == FUSED or n.name in SOFTMAX for n in view.nodes)
    for attention in attentions(view) if any(n.name == MODULE for n in view.nodes) else ():
        yield from _in_module(attention)
    if attends:
        yield from _cuts(view)
        yield from _merges(view)
        yield from _shared(view)
    yield from _fused_apart(view)


def _in_module(attention: Attention) -> Iterator[Hypothesis]:
    """A whole module's fused weight cut otherwise, its heads put together otherwise."""
    if attention.node.name != MODULE:
        return
    scores = attention.logits.scores
    heads = scores.shape[-3]
    weight = ModuleCall.of(
        resolve(attention.node.args, attention.view.value),
        resolve(attention.node.kwargs, attention.view.value),
    ).given["in_proj_weight"]
    cuts = list(torch.arange(weight.shape[0]).reshape(3, heads, -1))
    names, styles = _styles(cuts)
    for text, order in _both_ways(styles):
        if not torch.equal(order, torch.arange(len(order))):
            yield Hypothesis(
                NAME, "heads" if "heads" in text else "qkv", f"{names} as they are cut", text,
                attention.site, (attention.with_projection(order),), cost=1.1,
            )  # fmt: skip
    yield Hypothesis(
        NAME, "merge", "heads merged behind a transpose", "merged without it", attention.site,
        (attention.with_unturned_heads(),), cost=1.0,
    )  # fmt: skip


# -- Cuts of a projection's channels ---------------------------------------------------------------


def _cuts(view: View) -> Iterator[Hypothesis]:
    """Other places of queries, keys, values and heads among a projection's channels."""
    seen: set[int] = set()
    for node in view.nodes:
        for value in node.inputs[:1]:
            made = view.producer(value)
            start = made is None or made.name in ("linear", "add", "conv1d", "matmul", "addmm")
            if not start or value in seen or not _is_projection(view, value):
                continue
            seen.add(value)
            parts = moved_parts(view, value)
            cuts = _as_heads(parts, view.shape(value)[-1])
            if cuts is None:
                continue
            names, styles = _styles(cuts)
            for text, order in _both_ways(styles):
                if not torch.equal(order, torch.arange(len(order))):
                    yield _reordered(view, node, value, names, text, order)


def _is_projection(view: View, value: int) -> bool:
    shape = view.shape(value)
    return (
        len(shape) == 3
        and view.is_float(value)
        and not view.is_parameter(value)
        and shape[-1] >= 8
        and view.has(value)
    )


def _as_heads(parts: Sequence[Part], width: int) -> list[Tensor] | None:
    """The channels of each part as [heads, size], if the parts share out all channels."""
    cuts = []
    for part in parts:
        channels = part.channels
        if channels.dim() == 3:
            channels = channels.flatten(0, 1)
        if channels.dim() != 2:
            return None
        # Heads are what the size runs within: the size is the axis that is last.
        cuts.append(channels)
    unique: list[Tensor] = []
    for cut in cuts:
        if not any(c.numel() == cut.numel() and set(c.flatten().tolist()) == set(
            cut.flatten().tolist()) for c in unique):  # fmt: skip
            unique.append(cut)
    every = [i for cut in unique for i in cut.flatten().tolist()]
    if sorted(every) != list(range(width)) or len(unique) > 3:
        return None
    # Queries, keys, values: in the order in which they lie in the projection.
    return sorted(unique, key=lambda cut: int(cut.min()))


def _styles(cuts: Sequence[Tensor]) -> tuple[str, list[tuple[str, Tensor]]]:
    """Other layouts of the same parts, each as the channel that stands for each channel."""
    found: list[tuple[str, Tensor]] = []
    width = sum(cut.numel() for cut in cuts)

    def add(text: str, others: Sequence[Tensor]) -> None:
        order = torch.empty(width, dtype=torch.long)
        for cut, other in zip(cuts, others, strict=True):
            order[cut.flatten()] = other.flatten()
        if sorted(order.tolist()) == list(range(width)):
            if not any(torch.equal(order, known) for _, known in found):
                found.append((text, order))

    names = ["queries", "keys", "values"] if len(cuts) == 3 else ["first", "second"]
    if len(cuts) == 1:
        names = ["channels"]
    for order in permutations(range(len(cuts))):
        listed = ", ".join(names[i] for i in order)
        add(f"{listed}, one after the other" if len(cuts) > 1 else "by heads", _stacked(cuts, order))
        if len(cuts) > 1:
            add(f"{listed} of a head together", _grouped(cuts, order))
    add("heads as the inner axis", [_inner(c) for c in _stacked(cuts, range(len(cuts)))])
    sizes = {tuple(cut.shape) for cut in cuts}
    if len(sizes) == 1 and len(cuts) > 1:
        heads, size = cuts[0].shape
        table = torch.arange(width)
        by_size = table.reshape(heads, size, len(cuts))
        add("queries, keys, values by turns", [by_size[..., i] for i in range(len(cuts))])
        outer = table.reshape(size, len(cuts), heads)
        add("heads innermost, then parts", [outer[:, i].T for i in range(len(cuts))])
        inner = table.reshape(len(cuts), size, heads)
        add("heads innermost of each part", [inner[i].T for i in range(len(cuts))])
    return " and ".join(names), found


def _both_ways(styles: Sequence[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Layouts that a port cuts by, and layouts that a port's weights were packed by."""
    known: list[Tensor] = []
    for text, order in styles:
        known.append(order)
        yield text, order
    for text, order in styles:
        packed = torch.argsort(order)
        if not any(torch.equal(packed, other) for other in known):
            known.append(packed)
            yield f"packed as: {text}", packed


def _stacked(cuts: Sequence[Tensor], order: Sequence[int]) -> list[Tensor]:
    """Parts one after the other, in an order; each [heads, size]."""
    others: dict[int, Tensor] = {}
    start = 0
    for i in order:
        others[i] = torch.arange(start, start + cuts[i].numel()).reshape(cuts[i].shape)
        start += cuts[i].numel()
    return [others[i] for i in range(len(cuts))]


def _inner(channels: Tensor) -> Tensor:
    """The same channels with heads as the inner axis."""
    return channels.flatten().reshape(channels.shape[::-1]).T


def _grouped(cuts: Sequence[Tensor], order: Sequence[int]) -> list[Tensor]:
    """What belongs to a group of heads together, in an order within it."""
    groups = min(cut.shape[0] for cut in cuts)
    if any(cut.shape[0] % groups for cut in cuts):
        return _stacked(cuts, order)
    sizes = [cut.numel() // groups for cut in cuts]
    others: dict[int, Tensor] = {}
    start = 0
    for i in order:
        rows = start + torch.arange(groups)[:, None] * sum(sizes) + torch.arange(sizes[i])
        others[i] = rows.reshape(cuts[i].shape)
        start += sizes[i]
    return [others[i] for i in range(len(cuts))]


def _reordered(
    view: View, node: Node, value: int, names: str, text: str, order: Tensor
) -> Hypothesis:
    edits = tuple(_reading(reader, value, order) for reader in view.consumers(value))
    single = names == "channels"
    # Several projections are cut alike: all of them are one kind of place.
    site = Site(view.path(node), "heads" if single else "projection", node.source)
    return Hypothesis(
        NAME, "heads" if single or "heads" in text else "qkv", f"{names} as they are cut", text, site, edits,
        cost=1.6 if single else 1.1,
    )  # fmt: skip


def _reading(reader: Node, value: int, order: Tensor) -> Edit:
    """The change of one reader of a projection: it gets channels in another order."""
    places = [i for i, a in enumerate(reader.args) if isinstance(a, Ref) and a.value == value]
    function = reader.function

    def apply(operands: Operands) -> Any:
        args = list(operands.args)
        for place in places:
            args[place] = args[place][..., order]
        return function(*args, **operands.kwargs)

    return Edit(reader.index, apply)


# -- Fused weights cut apart -----------------------------------------------------------------------


def _fused_apart(view: View) -> Iterator[Hypothesis]:
    """Projections cut off one fused weight in another order than that of the reference."""
    for node in view.nodes:
        if node.name != "linear" or len(node.inputs) < 2 or not view.is_parameter(node.inputs[1]):
            continue
        siblings = _siblings(view, node)
        if not 2 <= len(siblings) <= 3:
            continue
        heads = [_heads(view, sibling) for sibling in siblings]
        if any(h is None for h in heads):
            continue
        cuts, start = [], 0
        for sibling, head in zip(siblings, heads, strict=True):
            rows = view.shape(sibling.outputs[0])[-1]
            cuts.append(torch.arange(start, start + rows).reshape(head or 1, -1))
            start += rows
        own = siblings.index(node)
        names, styles = _styles(cuts)
        for text, order in _both_ways(styles):
            rows_of = order[cuts[own].flatten()]
            if torch.equal(rows_of, cuts[own].flatten()):
                continue
            edit = _from_fused(view, node, siblings, rows_of)
            if edit is not None:
                site = Site(view.path(node), "projection", node.source)
                yield Hypothesis(
                    NAME, "qkv", f"{names} have weights of their own",
                    f"one fused weight, {text}", site, (edit,), cost=1.4,
                )  # fmt: skip


def _siblings(view: View, node: Node) -> list[Node]:
    """Linear maps of the same tensor in the same call, or in calls beside each other."""
    tape = view.tape
    parent = tape.spans[node.span].parent if node.span >= 0 else -1
    found = []
    for index in tape.readers.get(node.inputs[0], ()):
        other = tape.nodes[index]
        if other.name != "linear" or len(other.inputs) < 2:
            continue
        beside = tape.spans[other.span].parent if other.span >= 0 else -1
        if beside == parent and view.is_parameter(other.inputs[1]):
            found.append(other)
    return found


def _heads(view: View, node: Node) -> int | None:
    """Into how many heads the result of a projection is cut later on; None if into none."""
    parts = moved_parts(view, node.outputs[0])
    if len(parts) != 1 or parts[0].channels.dim() != 2:
        return None
    return int(parts[0].channels.shape[0])


def _from_fused(view: View, node: Node, siblings: Sequence[Node], rows: Tensor) -> Edit | None:
    weights = [view.value(sibling.inputs[1]) for sibling in siblings]
    if len({w.shape[1] for w in weights}) != 1:
        return None
    weight = torch.cat(weights)[rows]
    biases = [
        view.value(sibling.inputs[2]) if len(sibling.inputs) > 2 else None for sibling in siblings
    ]
    given = [b for b in biases if b is not None]
    bias = torch.cat(given)[rows] if len(given) == len(biases) else None

    def apply(operands: Operands) -> Tensor:
        return torch.nn.functional.linear(operands.args[0], weight, bias)

    return Edit(node.index, apply)


# -- Heads put together ----------------------------------------------------------------------------


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
        return made.unflatten(-1, (heads, -1)).mT.flatten(-2)

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
        return operands.args[0].reshape(made.shape)

    edits = (Edit(node.index, reshaped),)
    yield Hypothesis(
        NAME, "heads", "cut into heads, then turned", "reshaped to heads at once",
        Site(view.path(node), "split", node.source), edits, cost=1.4,
    )  # fmt: skip


# -- Keys and values shared by queries -------------------------------------------------------------


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
