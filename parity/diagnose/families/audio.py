"""Audio front ends: windows, frames, magnitudes, filters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch

from parity.diagnose.constants import constants_of
from parity.diagnose.families.padding import pad
from parity.diagnose.hypothesis import Hypothesis, Solve
from parity.diagnose.mel import Bank, filters, recognise
from parity.diagnose.operands import Change, Place, changed, places, with_operands
from parity.diagnose.view import View
from parity.diagnose.windows import name_of_window, windows
from parity.localize.execute import Edit, Operands
from parity.localize.tape import LEAF, Node, Ref

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "audio"
_TRANSFORMS = ("stft", "fft_rfft", "rfft", "fft_fft", "fft")


def propose(view: View) -> Iterator[Hypothesis]:
    """Other conventions wherever sound is made a spectrum, and a spectrum what a model reads."""
    for node in view.nodes:
        if not node.outputs:
            continue
        yield from _windows(view, node)
        if node.name == "stft":
            yield from _frames(view, node)
        yield from _power(view, node)
        yield from _filters(view, node)


def _windows(view: View, node: Node) -> Iterator[Hypothesis]:
    constants = constants_of(view)
    for place, value in places(node):
        shape = [n for n in view.shape(value) if n > 1]
        if len(shape) != 1 or not view.is_float(value) or not view.has(value):
            continue
        if not constants.constant(value):
            continue
        own = name_of_window(view.value(value).flatten())
        if own is None:
            continue
        for name, window in windows(shape[0]).items():
            if name != own:
                edit = changed(node, {place: _shaped(window)})
                cost = 1.0 if name.split(",")[0] == own.split(",")[0] else 1.1
                yield Hypothesis(NAME, "window", own, name, view.site(node), (edit,), cost=cost)


def _shaped(values: Tensor) -> Change:
    return lambda operand, _: values.to(operand.dtype).reshape(operand.shape)


_STFT = ("input", "n_fft", "hop_length", "win_length", "window", "center", "pad_mode",
         "normalized", "onesided", "return_complex")  # fmt: skip


def _frames(view: View, node: Node) -> Iterator[Hypothesis]:
    given = {**dict(zip(_STFT, node.args, strict=False)), **node.kwargs}
    n, site = given.get("n_fft"), view.site(node)
    if not isinstance(n, int):
        return
    centred, mode = given.get("center", True), given.get("pad_mode", "reflect")
    half = n // 2
    if centred:
        for other in ("reflect", "constant", "replicate", "circular"):
            if other != mode:
                edit = _restarted(node, (half, half), other)
                yield Hypothesis(
                    "padding", "mode", f"frames padded, {mode}", f"padded, {other}", site, (edit,)
                )
        for label, amounts in (
            ("frames begin at their samples", (0, 2 * half)),
            ("frames end at their samples", (2 * half, 0)),
        ):
            for other in ("constant", "reflect", "replicate"):
                edit = _restarted(node, amounts, other)
                said = f"{label}, padded, {other}"
                yield Hypothesis(
                    NAME, "centre", "frames centred on samples", said, site, (edit,), cost=1.1
                )
    width = given.get("win_length") or n
    if isinstance(width, int) and width < n and isinstance(given.get("window"), Ref):
        for label, before in (("at the beginning of frames", 0), ("at their end", n - width)):
            edit = _placed(node, n, before)
            yield Hypothesis(
                NAME, "window", "window in the middle of frames", label, site, (edit,), cost=1.1
            )
    normalised = bool(given.get("normalized", False))
    factor = math.sqrt(n) if normalised else 1 / math.sqrt(n)
    edit = view.after(node, lambda y: y * factor)
    words = ("divided by the root of its length", "not divided by it")
    reference, candidate = words if normalised else words[::-1]
    yield Hypothesis(NAME, "scale", reference, candidate, site, (edit,), cost=1.2)


def _restarted(node: Node, amounts: tuple[int, int], mode: str) -> Edit:
    """The transform of a signal that is padded otherwise."""

    def apply(operands: Operands) -> Any:
        made: dict[Place, Any] = {
            ("a", 0) if operands.args else ("k", "input"): _padded(operands, amounts, mode)
        }
        made[("a", 5) if len(operands.args) > 5 else ("k", "center")] = False
        return with_operands(operands, made)

    return Edit(node.index, apply)


def _padded(operands: Operands, amounts: tuple[int, int], mode: str) -> Any:
    x: Tensor = operands.args[0] if operands.args else operands.kwargs["input"]
    return pad(x, amounts, mode)


def _placed(node: Node, n: int, before: int) -> Edit:
    """The transform with its window elsewhere in the frame."""

    def apply(operands: Operands) -> Any:
        where: Place = ("a", 4) if len(operands.args) > 4 else ("k", "window")
        width: Place = ("a", 3) if len(operands.args) > 3 else ("k", "win_length")
        window: Tensor = operands.args[4] if where[0] == "a" else operands.kwargs["window"]
        whole = pad(window, (before, n - before - window.numel()), "constant")
        return with_operands(operands, {where: whole, width: n})

    return Edit(node.index, apply)


def _spectral(view: View, value: int) -> bool:
    """Whether a value was made of a spectrum a few operations before."""
    waiting = [value]
    for _ in range(10):
        if not waiting:
            return False
        index = view.tape.values[waiting.pop(0)].node
        if index == LEAF:
            continue
        node = view.tape.nodes[index]
        if node.name in _TRANSFORMS:
            return True
        waiting += [v for v in node.inputs if view.tape.values[v].node != LEAF]
    return False


def _power(view: View, node: Node) -> Iterator[Hypothesis]:
    """Magnitudes for powers and the other way round."""
    if len(node.inputs) != 1 or not view.is_float(node.outputs[0]):
        return
    source, result = node.inputs[0], node.outputs[0]
    if node.name not in {"abs", "pow", "square", "sqrt", "sum", "norm"} or not _spectral(
        view, source
    ):
        return
    site = view.site(node)
    square, root = view.after(node, torch.square), view.after(node, lambda y: y.clamp_min(0).sqrt())
    squared = node.name == "square" or (node.name == "pow" and 2 in node.args[1:2])
    after = {other.name for other in view.consumers(result)}
    if (
        squared and view.is_float(source) and bool((view.value(source) >= 0).all())
    ) or node.name == "sum":
        yield Hypothesis(NAME, "power", "power", "magnitude", site, (root,), cost=1.0)
    elif node.name in {"abs", "sqrt", "norm"} and not after & {"pow", "square"}:
        yield Hypothesis(NAME, "power", "magnitude", "power", site, (square,), cost=1.0)


def _filters(view: View, node: Node) -> Iterator[Hypothesis]:
    if node.name not in {"matmul", "linear", "einsum", "mm", "bmm"}:
        return
    constants = constants_of(view)
    for place, value in places(node):
        shape = view.shape(value)
        if len([n for n in shape if n > 1]) != 2 or not constants.constant(value):
            continue
        if not view.is_float(value) or not view.has(value):
            continue
        stored = view.value(value).reshape([n for n in shape if n > 1])
        wide = stored.shape[0] < stored.shape[1]
        bank = recognise(stored if wide else stored.t())
        if bank is not None:
            yield from _other_banks(view, node, place, bank, wide=wide)
            return


def _other_banks(
    view: View, node: Node, place: Place, bank: Bank, *, wide: bool
) -> Iterator[Hypothesis]:
    site = view.site(node)
    other = "htk" if bank.scale == "slaney" else "slaney"
    area = ("equal height", "equal area")
    options: list[tuple[str, str, Bank, float]] = [
        (f"mel scale {bank.scale}", f"mel scale {other}", bank.but(scale=other), 1.0),
        (f"filters of {area[bank.equal_area]}", f"of {area[not bank.equal_area]}",
         bank.but(equal_area=not bank.equal_area), 1.0),
        (f"mel scale {bank.scale}, {area[bank.equal_area]}",
         f"{other}, {area[not bank.equal_area]}",
         bank.but(scale=other, equal_area=not bank.equal_area), 1.2),
    ]  # fmt: skip
    for reference, candidate, changed_bank, cost in options:
        edit = _with_bank(node, place, changed_bank, wide=wide)
        yield Hypothesis(NAME, "mel", reference, candidate, site, (edit,), cost=cost)
    for name, own, least, most in (
        ("high", bank.high, bank.high / 2, bank.rate / 2),
        ("low", bank.low, 0.0, 400.0),
        ("rate", bank.rate, bank.rate / 3, bank.rate * 3),
    ):
        solve = Solve(
            _bank_solver(node, place, bank, name, wide=wide),
            least, most, reference=own, guesses=_GUESSES[name] + (bank.rate / 2,),
        )  # fmt: skip
        words = {"high": "highest frequency", "low": "lowest frequency", "rate": "sampling rate"}
        said = f"{words[name]} {own:.6g} Hz"
        yield Hypothesis(
            NAME, "mel", said, words[name] + " {value:.6g} Hz", site, solve=solve, cost=1.2
        )


_GUESSES: dict[str, tuple[float, ...]] = {
    "high": (8000.0, 7600.0, 7500.0, 4000.0, 3800.0, 11025.0, 12000.0),
    "low": (0.0, 20.0, 40.0, 50.0, 55.0, 80.0, 90.0, 125.0),
    "rate": (8000.0, 16000.0, 22050.0, 24000.0, 44100.0, 48000.0),
}


def _bank_solver(
    node: Node, place: Place, bank: Bank, name: str, *, wide: bool
) -> Callable[[float], tuple[Edit, ...]]:
    return lambda value: (_with_bank(node, place, bank.but(**{name: value}), wide=wide),)


def _with_bank(node: Node, place: Place, bank: Bank, *, wide: bool) -> Edit:
    def change(operand: Tensor, _: Operands) -> Tensor:
        made = filters(bank)
        return (made if wide else made.t()).to(operand.dtype).reshape(operand.shape)

    return changed(node, {place: change})
