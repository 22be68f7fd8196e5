"""Convolutions: alignment, kernel, dilation, groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from parity.diagnose.hypothesis import Hypothesis, Solve
from parity.diagnose.kernels import (
    Convolution,
    arguments_of,
    is_convolution,
    padded,
    run_convolution,
    signal_of,
)
from parity.diagnose.operands import changed, places
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "conv"
Amounts = tuple[tuple[int, int], ...]


def propose(view: View) -> Iterator[Hypothesis]:
    """What each convolution of the stretch could do otherwise."""
    for node in view.nodes:
        if not is_convolution(node) or node.written:
            continue
        source = view.tensor_argument(node, 0, "input")
        weight = view.tensor_argument(node, 1, "weight")
        if source is None or weight is None:
            continue
        kernel = view.shape(weight)[2:]
        how = arguments_of(node, kernel)
        if how is None or len(kernel) != how.dims:
            continue
        yield from _kernel(view, node, weight, kernel)
        yield from _groups(view, node, how, view.shape(weight))
        if not how.transposed:
            yield from _aligned(view, node, how, kernel, view.shape(source))
            yield from _dilated(view, node, how, kernel)


def _kernel(view: View, node: Node, weight: int, kernel: tuple[int, ...]) -> Iterator[Hypothesis]:
    place = next((p for p, v in places(node) if v == weight and p in _WEIGHT), None)
    long = [axis - len(kernel) for axis, n in enumerate(kernel) if n > 1]
    if place is None or not long:
        return
    options: list[tuple[str, list[int], float]] = [("kernel back to front", long, 1.0)]
    if len(long) > 1:
        options += [(f"kernel flipped along axis {axis}", [axis], 1.4) for axis in long]
    for label, axes, cost in options:
        edit = changed(node, {place: _flip(axes)})
        yield Hypothesis(
            NAME, "kernel", "kernel as stored", label, view.site(node), (edit,), cost=cost
        )


_WEIGHT = (("a", 1), ("k", "weight"))


def _flip(axes: list[int]) -> Callable[[Tensor, Operands], Tensor]:
    return lambda weight, _: weight.flip(axes)


def _groups(
    view: View, node: Node, how: Convolution, weight: tuple[int, ...]
) -> Iterator[Hypothesis]:
    """Channels dealt to groups in turn, on the way in, out or both."""
    groups = how.groups
    if groups < 2:
        return
    ins = weight[0] if how.transposed else weight[1] * groups
    outs = weight[1] * groups if how.transposed else weight[0]
    for label, into, out, cost in (
        ("channels dealt to groups in turn", True, True, 1.1),
        ("channels in dealt to groups in turn", True, False, 1.3),
        ("channels out dealt to groups in turn", False, True, 1.3),
    ):
        if (into and ins > groups) or (out and outs > groups):
            edit = _dealt(node, groups, into=into, out=out)
            yield Hypothesis(
                NAME, "groups", "groups of neighbours", label, view.site(node), (edit,), cost=cost
            )


def _dealt(node: Node, groups: int, *, into: bool, out: bool) -> Edit:
    def apply(operands: Operands) -> Tensor:
        if into:
            edit = changed(node, {_INPUT_PLACE[0] if operands.args else _INPUT_PLACE[1]: inward})
            made: Tensor = edit.apply(operands)
        else:
            made = operands.default()
        if out:
            made = _turned(made, (groups, -1))
        return made

    def inward(x: Tensor, _: Operands) -> Tensor:
        # Channel g of group i is channel i + groups * g of what comes in.
        return _turned(x, (-1, groups))

    return Edit(node.index, apply)


def _turned(x: Tensor, grid: tuple[int, int]) -> Tensor:
    """Channels of `x (batch, channels, ...)`, seen as a grid, read column by column."""
    b, _, *rest = x.shape
    return x.reshape(b, *grid, *rest).transpose(1, 2).reshape(x.shape)


_INPUT_PLACE = (("a", 0), ("k", "input"))


def _repadded(node: Node, how: Convolution, amounts: Amounts, mode: str = "constant") -> Edit:
    """The convolution of its input with other paddings than its own."""
    bare = how.without_padding()

    def apply(operands: Operands) -> Tensor:
        return run_convolution(bare, operands, padded(signal_of(operands), amounts, mode))

    return Edit(node.index, apply)


def _aligned(
    view: View,
    node: Node,
    how: Convolution,
    kernel: tuple[int, ...],
    shape: tuple[int, ...],
) -> Iterator[Hypothesis]:
    site, pads = view.site(node), how.padding
    spans = [(k - 1) * d for k, d in zip(kernel, how.dilation, strict=True)]
    if any(pads):
        options: list[tuple[str, str, Amounts, float]] = [
            ("alignment", "all padding before", tuple((2 * p, 0) for p in pads), 1.0),
            ("alignment", "all padding behind", tuple((0, 2 * p) for p in pads), 1.1),
        ]
        if any(s > 1 for s in how.stride):
            options += [
                ("alignment", "padding behind only", tuple((0, p) for p in pads), 1.1),
                ("alignment", "padding before only", tuple((p, 0) for p in pads), 1.2),
                ("alignment", "padding as in TensorFlow", _same(shape[2:], how, spans), 1.15),
            ]
        for parameter, label, amounts, cost in options:
            edit = _repadded(node, how, amounts)
            said = "padding on both sides"
            yield Hypothesis(NAME, parameter, said, label, site, (edit,), cost=cost)
        yield from _modes(view, node, how)
    if max(spans) == 0 and max(how.stride) == 1:
        return

    def make(shift: float) -> tuple[Edit, ...]:
        s = int(shift)
        return (_repadded(node, how, tuple((p + s, p - s) for p in pads)),)

    reach = min(max(spans) + max(how.stride) - 1, 12)
    solve = Solve(make, -reach, reach, scale="integer", reference=0)
    yield Hypothesis(
        NAME, "alignment", "kernel where it stands", "input shifted by {value:.0f}, zeros follow",
        site, solve=solve, cost=1.6,
    )  # fmt: skip
    if not any(pads):
        yield from _unpadded_later(view, node, how, spans)


def _same(lengths: tuple[int, ...], how: Convolution, spans: list[int]) -> Amounts:
    found = []
    for n, stride, span in zip(lengths, how.stride, spans, strict=True):
        total = max((-(-n // stride) - 1) * stride + span + 1 - n, 0)
        found.append((total // 2, total - total // 2))
    return tuple(found)


def _unpadded_later(
    view: View, node: Node, how: Convolution, spans: list[int]
) -> Iterator[Hypothesis]:
    """What stands before a causal convolution replaced by zeros on both sides of the rest."""
    lead = tuple(span + 1 - stride for span, stride in zip(spans, how.stride, strict=True))
    if max(lead) <= 0:
        return
    for label, amounts, cost in (
        ("zeros on both sides", tuple((-n + n // 2, n - n // 2) for n in lead), 1.2),
        ("zeros on both sides, more before", tuple((-n + n - n // 2, n // 2) for n in lead), 1.25),
        ("zeros behind", tuple((-n, n) for n in lead), 1.2),
    ):
        edit = _zeroed(node, how, lead, amounts)
        yield Hypothesis(
            NAME,
            "alignment",
            "history before the input",
            label,
            view.site(node),
            (edit,),
            cost=cost,
        )


def _zeroed(node: Node, how: Convolution, lead: tuple[int, ...], amounts: Amounts) -> Edit:
    def apply(operands: Operands) -> Tensor:
        x = padded(signal_of(operands), tuple((-n, 0) for n in lead))
        rest = tuple((a + n, b) for (a, b), n in zip(amounts, lead, strict=True))
        return run_convolution(how, operands, padded(x, rest))

    return Edit(node.index, apply)


def _modes(view: View, node: Node, how: Convolution) -> Iterator[Hypothesis]:
    both = tuple((p, p) for p in how.padding)
    for mode, cost in (("replicate", 1.0), ("reflect", 1.0), ("circular", 1.1)):
        edit = _repadded(node, how, both, mode)
        yield Hypothesis(
            "padding",
            "mode",
            "padding zeros",
            f"padding {mode}",
            view.site(node),
            (edit,),
            cost=cost,
        )


def _dilated(
    view: View, node: Node, how: Convolution, kernel: tuple[int, ...]
) -> Iterator[Hypothesis]:
    if max(kernel) < 2:
        return
    own = how.dilation[0] if len(set(how.dilation)) == 1 else None
    reference = f"dilation={own}" if own is not None else f"dilation={how.dilation}"
    for dilation in (1, 2, 3, 4, 6, 8, 9, 16):
        if all(d == dilation for d in how.dilation):
            continue
        more = [(k - 1) * (dilation - d) for k, d in zip(kernel, how.dilation, strict=True)]
        if max(more) > 64:
            continue
        other = replace(how.without_padding(), dilation=(dilation,) * how.dims)
        for label, split, cost in (
            ("", 1.0, 1.0),
            (", centred", 0.5, 1.0),
            (", aligned at the start", 0.0, 1.2),
        ):
            amounts = tuple(
                (p + round(n * split), p + n - round(n * split))
                for p, n in zip(how.padding, more, strict=True)
            )
            edit = _other(node, other, amounts)
            yield Hypothesis(
                NAME, "dilation", reference, f"dilation={dilation}{label}",
                view.site(node), (edit,), cost=cost,
            )  # fmt: skip


def _other(node: Node, how: Convolution, amounts: Amounts) -> Edit:
    def apply(operands: Operands) -> Tensor:
        return run_convolution(how, operands, padded(signal_of(operands), amounts))

    return Edit(node.index, apply)
