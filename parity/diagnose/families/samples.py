"""Samples: their scale, pre- and de-emphasis, companding."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch

from parity.diagnose.constants import constants_of
from parity.diagnose.hypothesis import Hypothesis, Solve
from parity.diagnose.operands import Change, Place, changed, places
from parity.diagnose.view import View
from parity.localize.execute import Edit
from parity.localize.tape import Node, Ref

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "audio"
_LEAST_LOOP = 6  # how often a line of a recursive filter runs at least


def propose(view: View) -> Iterator[Hypothesis]:
    """Other numbers wherever samples are scaled, emphasised or companded."""
    for node in view.nodes:
        yield from _scaled(view, node)
        yield from _given(view, node)
    yield from _emphasised(view)
    yield from _recursive(view)
    yield from _companded(view)


def _number(node: Node) -> tuple[Place, float] | None:
    """The plain number among two operands, and where it stands."""
    if len(node.args) < 2 or len(node.inputs) != 1:
        return None
    for position in (1, 0):
        given = node.args[position]
        if isinstance(given, int | float) and not isinstance(given, bool):
            return ("a", position), float(given)
    return None


def _set(value: float) -> Change:
    return lambda _, __: value


def _is_sound(view: View, value: int) -> bool:
    shape = view.shape(value)
    if not 1 <= len(shape) <= 3 or not constants_of(view).raw(value):
        return False
    return shape[-1] >= 32 and all(n * 4 <= shape[-1] for n in shape[:-1])


def _scaled(view: View, node: Node) -> Iterator[Hypothesis]:
    if node.name not in {"div", "mul", "div_", "mul_"} or not node.outputs:
        return
    found, result = _number(node), node.outputs[0]
    if found is None or not _is_sound(view, result) or not view.is_float(result):
        return
    place, own = found
    if place != ("a", 1) or not own or abs(math.log(abs(own))) < math.log(64):
        return
    site = view.site(node)
    words = (
        f"samples divided by {own:g}" if node.name.startswith("div") else f"samples times {own:g}"
    )
    edit = changed(node, {place: _set(1.0)})
    yield Hypothesis(NAME, "scale", words, "as they are", site, (edit,), cost=1.0)
    normal: tuple[tuple[str, Callable[[Tensor], Tensor], float], ...] = (
        ("and each wave's peak brought to 1", _to_peak, 1.1),
        ("and each wave's power brought to 1", _to_power, 1.2),
        ("and each wave's mean taken off", lambda x: x - x.mean(-1, keepdim=True), 1.2),
        ("and each wave standardised", _standardised, 1.2),
    )
    for label, change, cost in normal:
        edit = view.after(node, change)
        yield Hypothesis(NAME, "scale", words, label, site, (edit,), cost=cost)

    def make(value: float) -> tuple[Edit, ...]:
        return (changed(node, {place: _set(value)}),)

    guesses = (32767.0, 32768.0, 255.0, 256.0, 1.0, 2147483648.0, 1 / 32768, 1 / 32767)
    solve = Solve(make, own / 1e5, own * 1e5, scale="log", reference=own, guesses=guesses)
    candidate = words.split(f"{own:g}", maxsplit=1)[0] + "{value:.6g}"
    yield Hypothesis(NAME, "scale", words, candidate, site, solve=solve, cost=1.1)


def _given(view: View, node: Node) -> Iterator[Hypothesis]:
    """Samples that come in at another scale than the reference's, where they are first read."""
    if node.name in {"tensor", "as_tensor", "from_numpy"} and len(node.outputs) == 1:
        yield from _at_scale(view, node, node.outputs[0], lambda f: view.after(node, f))
    for place, value in places(node):
        outside = view.producer(value) is None and not view.is_parameter(value)
        if outside and not node.written:
            yield from _at_scale(view, node, value, _operand_edit(node, place))


def _operand_edit(node: Node, place: Place) -> Callable[[Callable[[Tensor], Tensor]], Edit]:
    return lambda change: changed(node, {place: lambda operand, _: change(operand)})


def _at_scale(
    view: View, node: Node, value: int, edit: Callable[[Callable[[Tensor], Tensor]], Edit]
) -> Iterator[Hypothesis]:
    if not view.is_float(value) or not _is_sound(view, value):
        return
    if constants_of(view).constant(value):
        return
    said, site = "samples as they come in", view.site(node)
    for label, factor, cost in (
        ("by 32767 in the place of 32768", 32768 / 32767, 1.0),
        ("by 32768 in the place of 32767", 32767 / 32768, 1.0),
        ("times 32768", 32768.0, 1.1),
        ("times 32767", 32767.0, 1.1),
        ("divided by 32768", 1 / 32768, 1.1),
        ("of the other sign", -1.0, 1.3),
    ):
        yield Hypothesis(NAME, "scale", said, label, site, (edit(_times(factor)),), cost=cost)


def _times(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda samples: samples * factor


def _to_peak(x: Tensor) -> Tensor:
    return x / x.abs().amax(-1, keepdim=True).clamp_min(1e-30)


def _to_power(x: Tensor) -> Tensor:
    return x / x.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-30)


def _standardised(x: Tensor) -> Tensor:
    x = x - x.mean(-1, keepdim=True)
    return x / x.square().mean(-1, keepdim=True).sqrt().clamp_min(1e-30)


def _emphasised(view: View) -> Iterator[Hypothesis]:
    """`x[1:] - a x[:-1]`."""
    for node in view.nodes:
        if node.name not in {"sub", "add"} or len(node.inputs) != 2:
            continue
        makers = [view.producer(v) for v in node.inputs]
        if makers[0] is None or makers[1] is None:
            continue
        scaled = [m for m in makers if m is not None and m.name == "mul"]
        cut = [m for m in makers if m is not None and m.name in {"getitem", "narrow"}]
        if len(scaled) != 1 or len(cut) != 1 or _number(scaled[0]) is None:
            continue
        source = view.producer(scaled[0].inputs[0])
        if source is None or source.name not in {"getitem", "narrow"}:
            continue
        if source.inputs == cut[0].inputs:
            yield from _factor(view, [scaled[0]], "emphasis")


def _recursive(view: View) -> Iterator[Hypothesis]:
    """`y = x + a y`, sample after sample: one line that runs many times."""
    lines: dict[tuple[int, str, float], list[Node]] = {}
    for node in view.nodes:
        found = _number(node) if node.name == "mul" else None
        if found is not None:
            lines.setdefault((node.span, node.source, found[1]), []).append(node)
    for nodes in lines.values():
        if len(nodes) >= _LEAST_LOOP and _feeds_itself(view, nodes):
            yield from _factor(view, nodes, "de-emphasis")


def _feeds_itself(view: View, nodes: Sequence[Node]) -> bool:
    """Whether what one operation of a line makes, summed once, is what the next one reads."""
    for first, second in pairwise(nodes[1:5]):
        sums = [n for n in view.consumers(first.outputs[0]) if n.name in {"add", "sub"}]
        if not any(second.inputs[0] in one.outputs for one in sums):
            return False
    return True


def _factor(view: View, nodes: Sequence[Node], what: str) -> Iterator[Hypothesis]:
    found = _number(nodes[0])
    if found is None:
        return
    place, own = found

    def make(value: float) -> tuple[Edit, ...]:
        return tuple(changed(node, {place: _set(value)}) for node in nodes)

    site = view.site(nodes[0], what)
    yield Hypothesis(NAME, "emphasis", f"{what} {own:g}", "none", site, make(0.0), cost=1.0)
    yield Hypothesis(
        NAME, "emphasis", f"{what} {own:g}", "of the other sign", site, make(-own), cost=1.3
    )
    solve = Solve(make, 0.0, 0.9999, reference=own, guesses=(0.97, 0.95, 0.9, 0.85, 0.68))
    yield Hypothesis(
        NAME, "emphasis", f"{what} {own:g}", what + " {value:.4g}", site, solve=solve, cost=1.05
    )


def _companded(view: View) -> Iterator[Hypothesis]:
    """`((1 + mu) ** |x| - 1) / mu` and `log1p(mu |x|) / log1p(mu)`: mu stands in two places."""
    for node in view.nodes:
        found = _number(node)
        reflected = getattr(node.function, "__name__", "") == "__rpow__"
        base_first = bool(node.args) and not isinstance(node.args[0], Ref)
        power = node.name == "pow" and (reflected or base_first)
        if found is None or not node.outputs:
            continue
        place, number = found
        if power and number > 8:
            yield from _mu(view, node, place, number - 1, expands=True)
        elif node.name == "mul" and number > 8 and _to_log(view, node):
            yield from _mu(view, node, place, number, expands=False)


def _to_log(view: View, node: Node) -> bool:
    return any(n.name == "log1p" for n in view.consumers(node.outputs[0]))


def _mu(view: View, node: Node, place: Place, mu: float, *, expands: bool) -> Iterator[Hypothesis]:
    divisor = mu if expands else math.log1p(mu)
    ends = [
        (other, at)
        for other in view.nodes
        if other.index > node.index and other.span == node.span and other.name == "div"
        for at, number in [_number(other) or ((), 0.0)]
        if at and math.isclose(number, divisor, rel_tol=1e-6)
    ]
    if not ends:
        return
    last, last_place = ends[0]

    def make(value: float) -> tuple[Edit, ...]:
        first = value + 1 if expands else value
        end = value if expands else math.log1p(value)
        return (
            changed(node, {place: _set(first)}),
            changed(last, {last_place: _set(end)}),
        )

    solve = Solve(
        make, 1.0, 65535.0, scale="log", reference=mu, guesses=(255.0, 256.0, 100.0, 127.0)
    )
    yield Hypothesis(
        NAME, "companding", f"mu={mu:g}", "mu={value:.4g}", view.site(node, "companding"),
        solve=solve, cost=1.0,
    )  # fmt: skip
