"""Logarithms of spectra: their base, and what keeps them finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

from parity.diagnose.constants import constants_of
from parity.diagnose.hypothesis import Hypothesis, Solve
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "audio"


def propose(view: View) -> Iterator[Hypothesis]:
    """Other logarithms wherever the reference takes one of a tensor."""
    for node in view.nodes:
        if node.name in _LOGS and node.outputs:
            yield from _logarithm(view, node)


_LOGS: dict[str, Callable[[Tensor], Tensor]] = {
    "log": torch.log, "log10": torch.log10, "log2": torch.log2, "log1p": torch.log1p,
}  # fmt: skip
_OTHERS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "natural logarithm": (torch.log, 1.0),
    "logarithm to base ten": (torch.log10, 1.0),
    "logarithm to base two": (torch.log2, 1.1),
    "decibels of power": (lambda x: 10 * torch.log10(x), 1.1),
    "decibels of amplitude": (lambda x: 20 * torch.log10(x), 1.1),
    "log(1 + x)": (torch.log1p, 1.1),
    "cube root": (lambda x: x.clamp_min(0).pow(1 / 3), 1.6),
}
_BASES = {"natural logarithm": math.e, "logarithm to base ten": 10.0, "logarithm to base two": 2.0}
_OWN = {"log": "natural logarithm", "log10": "logarithm to base ten",
        "log2": "logarithm to base two", "log1p": "log(1 + x)"}  # fmt: skip


def _logarithm(view: View, node: Node) -> Iterator[Hypothesis]:
    if len(node.inputs) != 1 or constants_of(view).constant(node.inputs[0]):
        return
    site, own = view.site(node), _OWN[node.name]
    for name, (function, cost) in _OTHERS.items():
        if name != own:
            edit = Edit(node.index, lambda o, f=function: f(o.args[0]))  # type: ignore[misc]
            yield Hypothesis(
                NAME, "log", own, name, site, (edit,), cost=cost, value=_BASES.get(name)
            )
    yield from _floor(view, node)


def _floor(view: View, node: Node) -> Iterator[Hypothesis]:
    """What keeps the logarithm finite: a floor, or something added."""
    log, before = _LOGS[node.name], view.producer(node.inputs[0])
    if before is None or len(before.inputs) != 1 or before.written or not before.outputs:
        return
    numbers = [n for n in (*before.args[1:2], before.kwargs.get("min"), before.kwargs.get("other"))
               if isinstance(n, float) and 0 < n < 1]  # fmt: skip
    if len(numbers) != 1 or before.name not in {"clamp", "clamp_min", "maximum", "clip", "add"}:
        return
    least, source, site = numbers[0], before.inputs[0], view.site(node)
    adds = before.name == "add"
    options: list[tuple[str, Callable[[Tensor], Tensor], float]] = [
        ("nothing", lambda x: x, 1.3),
        (f"{least:g} added and as a floor", lambda x: (x + least).clamp_min(least), 1.6),
    ]
    if adds:
        options.append((f"a floor of {least:g}", lambda x: x.clamp_min(least), 1.0))
    else:
        options.append((f"{least:g} added", lambda x: x + least, 1.0))
    said = f"{least:g} added" if adds else f"a floor of {least:g}"
    for label, keep, cost in options:
        edit = Edit(node.index, lambda o, k=keep: log(k(o.reads[0])), (source,))  # type: ignore[misc]
        yield Hypothesis(NAME, "log", f"before the log: {said}", label, site, (edit,), cost=cost)

    def make(value: float) -> tuple[Edit, ...]:
        def kept(operands: Operands) -> Tensor:
            x = operands.reads[0]
            return log(x + value if adds else x.clamp_min(value))

        return (Edit(node.index, kept, (source,)),)

    solve = Solve(
        make, least * 1e-8, max(least * 1e6, 1e-2), scale="log", reference=least,
        guesses=(1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3),
    )  # fmt: skip
    label = "{value:.4g} added" if adds else "a floor of {value:.4g}"
    yield Hypothesis(NAME, "log", f"before the log: {said}", label, site, solve=solve, cost=1.1)
