"""Paddings: zeros, copies or mirror images, on which side, and how much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch.nn import functional

from parity.diagnose.constants import constants_of
from parity.diagnose.hypothesis import Hypothesis, Solve
from parity.diagnose.operands import Change, Place, changed, operand_at, places
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "padding"
_MODES = ("constant", "replicate", "reflect", "circular")
_SAID = {
    "constant": "zeros",
    "replicate": "copies of the border",
    "reflect": "a mirror image",
    "circular": "the other end",
    "symmetric": "a mirror image, border twice",
}


def propose(view: View) -> Iterator[Hypothesis]:
    """Other paddings wherever the reference pads by a call or by joining."""
    for node in view.nodes:
        if node.name == "pad" and not node.written:
            yield from _calls(view, node)
        elif node.name in {"cat", "concat", "concatenate"}:
            yield from _joined(view, node)


def _calls(view: View, node: Node) -> Iterator[Hypothesis]:
    amounts = view.argument(node, 1, "pad")
    source = view.tensor_argument(node, 0, "input")
    if source is None or not isinstance(amounts, tuple | list):
        return
    if len(amounts) % 2 or not all(isinstance(n, int) for n in amounts) or not any(amounts):
        return
    mode = view.argument(node, 2, "mode", "constant")
    value = view.argument(node, 3, "value") or 0.0
    own = tuple(amounts)
    if not isinstance(mode, str) or not isinstance(value, int | float):
        return
    reference = _SAID.get(mode, mode) if not value else f"the number {value:g}"
    for other in (*_MODES, "symmetric"):
        if other != mode or (other == "constant" and value):
            cost = 1.0 if other != "symmetric" else 1.3
            said = ("mode", f"padded with {reference}", f"with {_SAID[other]}")
            yield _as(view, node, said, (own, other, 0.0), cost)
    yield from _sides(view, node, own, mode, float(value))
    if mode == "constant" and view.is_float(source):
        yield _constant(view, node, own, float(value))


def _as(
    view: View,
    node: Node,
    said: tuple[str, str, str],
    how: tuple[tuple[int, ...], str, float],
    cost: float,
) -> Hypothesis:
    """The padding of other amounts, mode and value: `how`; `said` is parameter, theirs and ours."""
    parameter, reference, candidate = said
    edit = _edit(node, *how)
    return Hypothesis(NAME, parameter, reference, candidate, view.site(node), (edit,), cost=cost)


def _edit(node: Node, amounts: tuple[int, ...], mode: str, value: float = 0.0) -> Edit:
    def apply(operands: Operands) -> Tensor:
        x: Tensor = operands.args[0] if operands.args else operands.kwargs["input"]
        return pad(x, amounts, mode, value)

    return Edit(node.index, apply)


def pad(x: Tensor, amounts: tuple[int, ...], mode: str, value: float = 0.0) -> Tensor:
    """`F.pad` with numpy's `symmetric` besides, for any number of axes.

    Args:
        x: any shape.
        amounts: before and behind the last axis, the one before it, and so on.
        mode: of `F.pad`, or `symmetric`.
        value: for the mode `constant`.
    """
    if mode == "constant":
        return functional.pad(x, amounts, value=value)
    for step in range(0, len(amounts), 2):
        before, behind = amounts[step], amounts[step + 1]
        axis = x.dim() - 1 - step // 2
        if before or behind:
            x = x.index_select(axis, _sources(x.shape[axis], before, behind, mode))
    return x


def _sources(n: int, before: int, behind: int, mode: str) -> Tensor:
    """Which of n elements stands at each place of the padded axis."""
    at = torch.arange(-before, n + behind)
    if mode == "replicate":
        return at.clamp(0, n - 1)
    if mode == "circular":
        return at % n
    period = 2 * (n - 1) if mode == "reflect" else 2 * n
    at = at % max(period, 1)
    folded = period - at if mode == "reflect" else period - 1 - at
    return torch.where(at < n, at, folded)


def _sides(
    view: View, node: Node, own: tuple[int, ...], mode: str, value: float
) -> Iterator[Hypothesis]:
    """The same amount, or one that gives the same size later, on other sides."""
    pairs = list(zip(own[::2], own[1::2], strict=True))
    options: list[tuple[str, str, list[tuple[int, int]], float]] = [
        ("side", "as much on the other side", [(max(a, b),) * 2 for a, b in pairs], 1.0),
        ("side", "all of it before", [(a + b, 0) for a, b in pairs], 1.05),
        ("side", "all of it behind", [(0, a + b) for a, b in pairs], 1.0),
        ("side", "half on each side", [((a + b) // 2, (a + b + 1) // 2) for a, b in pairs], 1.0),
        ("side", "half on each side, more before",
         [((a + b + 1) // 2, (a + b) // 2) for a, b in pairs], 1.1),
        ("side", "sides swapped", [(b, a) for a, b in pairs], 1.1),
        ("side", "one less before, one more behind", [(a - 1, b + 1) for a, b in pairs], 1.3),
        ("side", "one more before, one less behind", [(a + 1, b - 1) for a, b in pairs], 1.3),
        ("amount", "one more before", [(a + 1, b) for a, b in pairs], 1.4),
        ("amount", "one more behind", [(a, b + 1) for a, b in pairs], 1.4),
        ("amount", "none", [(0, 0) for _ in pairs], 1.3),
        ("side", "axes in reverse", pairs[::-1], 1.3),
    ]  # fmt: skip
    seen = {tuple(pairs)}
    said = "padded " + _sides_said(pairs)
    for parameter, label, other, cost in options:
        if tuple(other) in seen:
            continue
        seen.add(tuple(other))
        flat = tuple(n for pair in other for n in pair)
        said_so = _as(view, node, (parameter, said, label), (flat, mode, value), cost)
        # How much stands before the signal: the number that ports write into their convolution.
        yield replace(said_so, value=float(max(a for a, _ in other)))


def _sides_said(pairs: list[tuple[int, int]]) -> str:
    if all(b == 0 for _, b in pairs):
        return "before"
    if all(a == 0 for a, _ in pairs):
        return "behind"
    return "on both sides"


def _constant(view: View, node: Node, own: tuple[int, ...], value: float) -> Hypothesis:
    solve = Solve(
        lambda number: (_edit(node, own, "constant", number),),
        -100.0, 100.0, reference=value, guesses=(0.0, 1.0, -1.0),
    )  # fmt: skip
    return Hypothesis(
        NAME,
        "mode",
        f"padded with {value:g}",
        "with {value:.4g}",
        view.site(node),
        solve=solve,
        cost=1.7,
    )


def _joined(view: View, node: Node) -> Iterator[Hypothesis]:
    """Padding by hand: something constant, or copied from the input, joined to it."""
    parts = view.argument(node, 0, "tensors")
    axis = view.argument(node, 1, "dim", 0)
    if not isinstance(parts, tuple | list) or not 2 <= len(parts) <= 3 or not isinstance(axis, int):
        return
    if not all(isinstance(part, Ref) for part in parts):
        return
    found = list(places(node))
    longest = max(range(len(found)), key=lambda i: _length(view, found[i][1], axis))
    body = found[longest][0]
    for i, (place, value) in enumerate(found):
        if i == longest or not view.is_float(value) or _length(view, value, axis) < 1:
            continue
        if not _filler(view, value, found[longest][1]):
            continue
        before, number = i < longest, _number(view, value)
        for label, make in _FILLERS.items():
            edit = changed(node, {place: _filled(make, body, axis, before=before, number=number)})
            yield Hypothesis(
                NAME,
                "mode",
                "its own border",
                label,
                view.site(node, f"cat.{i}"),
                (edit,),
                cost=1.1,
            )


def _length(view: View, value: int, axis: int) -> int:
    shape = view.shape(value)
    return shape[axis] if -len(shape) <= axis < len(shape) else 0


def _filler(view: View, value: int, body: int) -> bool:
    """Whether a part only fills a border: one number, or copies of the body's elements."""
    constants = constants_of(view)
    if constants.constant(value) and not constants.parameters(value):
        return True
    steps = 0
    while steps < 5 and value != body:
        node = view.producer(value)
        if node is None or len(node.inputs) != 1 or node.name not in _COPIES:
            return False
        value, steps = node.inputs[0], steps + 1
    return value == body and steps > 0


_COPIES = frozenset({"getitem", "expand", "expand_as", "repeat", "flip", "narrow", "select",
                     "unsqueeze", "tile", "repeat_interleave", "zeros_like", "new_zeros", "mul",
                     "contiguous", "clone"})  # fmt: skip


def _replicated(part: Tensor, body: Tensor, axis: int, before: bool) -> Tensor:
    n = body.shape[axis]
    edge = body.narrow(axis, 0 if before else n - 1, 1)
    return edge.expand(part.shape)


def _mirrored(part: Tensor, body: Tensor, axis: int, before: bool) -> Tensor:
    m, n = part.shape[axis], body.shape[axis]
    return body.narrow(axis, 1 if before else n - 1 - m, m).flip(axis)


def _around(part: Tensor, body: Tensor, axis: int, before: bool) -> Tensor:
    m, n = part.shape[axis], body.shape[axis]
    return body.narrow(axis, n - m if before else 0, m)


Filler = Callable[[Tensor, Tensor, int, bool], Tensor]
_FILLERS: dict[str, Filler] = {
    "zeros": lambda part, *_: torch.zeros_like(part),
    "copies of the border": _replicated,
    "a mirror image": _mirrored,
    "the other end": _around,
}


def _number(view: View, value: int) -> float | None:
    """The number that a part is filled with; None for one that varies."""
    if not view.has(value):
        return None
    part = view.value(value)
    uniform = part.numel() > 0 and bool((part == part.flatten()[0]).all())
    return float(part.flatten()[0]) if uniform else None


def _filled(make: Filler, body: Place, axis: int, *, before: bool, number: float | None) -> Change:
    def change(part: Tensor, operands: Operands) -> Tensor:
        if number is not None and not bool((part == number).all()):
            return part  # a buffer that is blank at first, and carries something in later calls
        return make(part, operand_at(operands, body), axis, before)

    return change
