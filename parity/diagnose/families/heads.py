"""Heads: how a projection's channels are cut into queries, keys, values and heads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from parity.diagnose.attention_module import MODULE, ModuleCall
from parity.diagnose.attention_reading import attentions
from parity.diagnose.attention_sites import Attention
from parity.diagnose.cuts import both_ways, styles
from parity.diagnose.hypothesis import Hypothesis, Site
from parity.diagnose.layouts import Part, moved_parts
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref, resolve

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "attention"


def propose(view: View) -> Iterator[Hypothesis]:
    """Other cuts of projections."""
    for attention in attentions(view) if any(n.name == MODULE for n in view.nodes) else ():
        yield from _in_module(attention)
    yield from _cuts(view)
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
    names, others = styles(cuts)
    for text, order in both_ways(others):
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
            names, others = styles(cuts)
            for text, order in both_ways(others):
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


def _reordered(  # noqa: PLR0917
    view: View, node: Node, value: int, names: str, text: str, order: Tensor
) -> Hypothesis:
    edits = tuple(_reading(reader, value, order) for reader in view.consumers(value))
    single = names == "channels"
    # Several projections are cut alike: all of them are one kind of place.
    site = Site(view.path(node), "heads" if single else "projection", node.source)
    parameter = "heads" if single or "heads" in text else "qkv"
    return Hypothesis(
        NAME, parameter, f"{names} as they are cut", text, site, edits,
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
        names, others = styles(cuts)
        for text, order in both_ways(others):
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
