"""Layouts: transposes left out, axes merged or split in another order, shuffles of pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import permutations

import torch

from parity.diagnose.axes import runs_of
from parity.diagnose.constants import constants_of
from parity.diagnose.hypothesis import Hypothesis
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
Map = Callable[[Tensor], Tensor]
NAME = "layout"

_TURNS = frozenset({
    "permute", "transpose", "t", "movedim", "moveaxis", "swapaxes", "swapdims", "__get__",
})  # fmt: skip
_SHAPES = frozenset({"reshape", "view", "flatten", "unflatten", "_unsafe_view", "view_as"})


def propose(view: View) -> Iterator[Hypothesis]:
    """Other orders wherever the reference changes the layout of a tensor."""
    constants = constants_of(view)
    for node in view.nodes:
        if len(node.outputs) != 1 or not node.inputs or node.written:
            continue
        source, result = node.inputs[0], node.outputs[0]
        if not view.has(source) or 0 in view.shape(source):
            continue
        cost = 0.3 if constants.constant(source) else 0.0
        if node.name in _TURNS:
            yield from _turned(view, node, source, result, cost)
        elif node.name in _SHAPES:
            yield from _reshaped(view, node, source, result, cost)
        elif node.name in {"pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "unfold"}:
            yield from _shuffled(view, node, source)


def _after_source(node: Node, make: Map) -> Edit:
    def apply(operands: Operands) -> Tensor:
        return make(operands.args[0] if operands.args else operands.kwargs["input"])

    return Edit(node.index, apply)


def _turned(view: View, node: Node, source: int, result: int, more: float) -> Iterator[Hypothesis]:
    before, after = view.shape(source), view.shape(result)
    if sorted(before) != sorted(after) or len([n for n in before if n > 1]) < 2:
        return
    site = view.site(node)
    if before != after:
        edit = _as_it_lies(node)
        yield Hypothesis(
            NAME, "transposed", "axes transposed", "reshaped, not transposed", site, (edit,),
            cost=1.1 + more,
        )  # fmt: skip
        yield Hypothesis(
            NAME, "strided", "axes transposed", "memory read in reverse axes", site,
            (_in_reverse(node),), cost=1.5 + more,
        )  # fmt: skip
    else:
        edit = _after_source(node, lambda x: x)
        yield Hypothesis(
            NAME, "transposed", "axes transposed", "not transposed", site, (edit,), cost=1.0 + more
        )
    yield from _other_turns(view, node, before, after, more)


def _as_it_lies(node: Node) -> Edit:
    def apply(operands: Operands) -> Tensor:
        shape = operands.default().shape
        x: Tensor = operands.args[0]
        return x.contiguous().reshape(shape)

    return Edit(node.index, apply)


def _in_reverse(node: Node) -> Edit:
    def apply(operands: Operands) -> Tensor:
        y: Tensor = operands.default()
        x: Tensor = operands.args[0]
        axes = tuple(reversed(range(x.dim())))
        return x.permute(axes).reshape(tuple(reversed(y.shape))).permute(axes)

    return Edit(node.index, apply)


def _other_turns(
    view: View, node: Node, before: tuple[int, ...], after: tuple[int, ...], more: float
) -> Iterator[Hypothesis]:
    """Permutations that lead to the same shape; ambiguous only where extents are equal."""
    if len(before) > 5 or len(set(before)) == len(before):
        return
    count = 0
    for order in permutations(range(len(before))):
        if tuple(before[axis] for axis in order) != after:
            continue
        edit = _after_source(node, _permuted(order))
        label = "axes in the order " + ", ".join(map(str, order))
        yield Hypothesis(
            NAME,
            "transposed",
            "its order of axes",
            label,
            view.site(node),
            (edit,),
            cost=1.3 + more,
        )
        count += 1
        if count == 8:
            return


def _permuted(order: tuple[int, ...]) -> Map:
    return lambda x: x.permute(order)


def _reshaped(
    view: View, node: Node, source: int, result: int, more: float
) -> Iterator[Hypothesis]:
    before, after = view.shape(source), view.shape(result)
    runs = runs_of(before, after)
    site = view.site(node)
    for position, run in enumerate(runs):
        merged = [axis for axis, n in enumerate(run.before) if n > 1]
        split = [axis for axis, n in enumerate(run.after) if n > 1]
        if len(merged) > 1:
            for order in _orders(merged):
                edit = _merged(node, position, order)
                names = " by ".join(str(run.start + axis) for axis in order)
                yield Hypothesis(
                    NAME, "flatten", "axes merged as they stand", f"axes merged {names}",
                    site, (edit,), cost=1.1 + more,
                )  # fmt: skip
        if len(split) > 1:
            # A square that is split the other way round is one that was transposed.
            square = more > 0 and len({run.after[axis] for axis in split}) == 1
            parameter = "transposed" if square else "flatten"
            for order in _orders(split):
                edit = _split(node, position, order)
                names = " by ".join(map(str, order))
                yield Hypothesis(
                    NAME, parameter, "axis split as it stands", f"parts in the order {names}",
                    site, (edit,), cost=1.1 + more,
                )  # fmt: skip
    if sum(len(run.before) > 1 or len(run.after) > 1 for run in runs):
        yield Hypothesis(
            NAME, "strided", "read row by row", "read column by column", site,
            (_in_reverse(node),), cost=1.4 + more,
        )  # fmt: skip


def _orders(axes: list[int]) -> list[tuple[int, ...]]:
    if len(axes) > 3:
        return [tuple(reversed(axes)), (*axes[1:], axes[0]), (axes[-1], *axes[:-1])]
    return [order for order in permutations(axes) if order != tuple(axes)]


def _merged(node: Node, position: int, order: tuple[int, ...]) -> Edit:
    """The axes of one run permuted before they are merged."""

    def apply(operands: Operands) -> Tensor:
        x: Tensor = operands.args[0]
        shape = operands.default().shape
        run = runs_of(x.shape, shape)[position]
        axes = _fill(order, len(run.before))
        whole = (
            *range(run.start),
            *(run.start + axis for axis in axes),
            *range(run.start + len(axes), x.dim()),
        )
        return x.permute(whole).reshape(shape)

    return Edit(node.index, apply)


def _split(node: Node, position: int, order: tuple[int, ...]) -> Edit:
    """The parts of one run read from memory in another order."""

    def apply(operands: Operands) -> Tensor:
        x: Tensor = operands.args[0]
        y: Tensor = operands.default()
        runs = runs_of(x.shape, y.shape)
        run = runs[position]
        first = sum(len(r.after) for r in runs[:position])
        axes = _fill(order, len(run.after))
        inner = [run.after[axis] for axis in axes]
        shape = (*y.shape[:first], *inner, *y.shape[first + len(axes) :])
        back = sorted(range(len(axes)), key=lambda i: axes[i])
        whole = (
            *range(first),
            *(first + axis for axis in back),
            *range(first + len(axes), y.dim()),
        )
        return x.reshape(shape).permute(whole)

    return Edit(node.index, apply)


def _fill(order: tuple[int, ...], count: int) -> tuple[int, ...]:
    """An order of some axes made one of all: axes of extent one go first."""
    return (*(axis for axis in range(count) if axis not in order), *order)


def _shuffled(view: View, node: Node, source: int) -> Iterator[Hypothesis]:
    site, shape = view.site(node), view.shape(source)
    factor = view.argument(node, 1, "upscale_factor") or view.argument(node, 1, "downscale_factor")
    if node.name == "unfold":
        yield from _unfolded(view, node, shape)
        return
    if node.name == "channel_shuffle":
        edit = _after_source(node, lambda x: x)
        yield Hypothesis(
            NAME, "flatten", "channels shuffled", "not shuffled", site, (edit,), cost=1.1
        )
        return
    if not isinstance(factor, int) or len(shape) != 4 or factor < 2:
        return
    shuffle = node.name == "pixel_shuffle"
    for label, order, cost in (
        ("place in the block before the channel", "rsc", 1.0),
        ("columns before rows", "csr", 1.1),
        ("place first, columns before rows", "src", 1.2),
        ("place split around the channel", "rcs", 1.5),
    ):
        make = _from_channels(factor, order) if shuffle else _to_channels(factor, order)
        yield Hypothesis(
            NAME, "flatten", "channel, then row and column", label, site,
            (_after_source(node, make),), cost=cost,
        )  # fmt: skip


def _from_channels(r: int, order: str) -> Map:
    """Pixel shuffle of channels in an order of c (channel), r (row in the block), s (column)."""

    def make(x: Tensor) -> Tensor:
        b, n, h, w = x.shape
        extent = {"c": n // (r * r), "r": r, "s": r}
        parts = x.reshape(b, *(extent[name] for name in order), h, w)
        at = {name: 1 + i for i, name in enumerate(order)}
        turned = parts.permute(0, at["c"], 4, at["r"], 5, at["s"])
        return turned.reshape(b, extent["c"], h * r, w * r)

    return make


def _to_channels(r: int, order: str) -> Map:
    """Pixel unshuffle into channels in an order of c, r and s."""

    def make(x: Tensor) -> Tensor:
        b, n, h, w = x.shape
        parts = x.reshape(b, n, h // r, r, w // r, r)
        at = {"c": 1, "r": 3, "s": 5}
        turned = parts.permute(0, *(at[name] for name in order), 2, 4)
        return turned.reshape(b, n * r * r, h // r, w // r)

    return make


def _unfolded(view: View, node: Node, shape: tuple[int, ...]) -> Iterator[Hypothesis]:
    """Patches with the channel innermost, not outermost."""
    if len(shape) != 4 or len(view.shape(node.outputs[0])) != 3:
        return
    channels = shape[1]
    size = view.shape(node.outputs[0])[1] // max(channels, 1)
    side = math.isqrt(size)

    def last(y: Tensor) -> Tensor:
        b, _, n = y.shape
        return y.reshape(b, channels, -1, n).transpose(1, 2).flatten(1, 2)

    def swapped(y: Tensor) -> Tensor:
        b, _, n = y.shape
        return y.reshape(b, channels, side, side, n).transpose(2, 3).flatten(1, 3)

    said = "patches channel by channel"
    for label, make, cost in (
        ("pixel by pixel, channels innermost", last, 1.0),
        ("columns before rows", swapped, 1.2),
    ):
        edit = view.after(node, make)
        yield Hypothesis(NAME, "flatten", said, label, view.site(node), (edit,), cost=cost)
