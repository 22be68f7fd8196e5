"""Statistics taken off at the entrance or put back at the exit, and the order of colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from parity.diagnose.constants import Constants, constants_of
from parity.diagnose.hypothesis import Hypothesis, Solve
from parity.diagnose.operands import Change, Place, changed, places
from parity.diagnose.view import View
from parity.localize.execute import Edit
from parity.localize.tape import Node

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
Map = Callable[[Tensor], Tensor]
NAME = "preprocess"
_SHIFTS = frozenset({"add", "sub", "add_", "sub_"})
_FACTORS = frozenset({"mul", "div", "mul_", "div_"})

# What image models are fed with, by what it is known as: mean and deviation of red, green, blue.
_KNOWN = {
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "CLIP": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}


def propose(view: View) -> Iterator[Hypothesis]:
    """Other statistics, none, or those of the other colours; colours in reverse."""
    constants = constants_of(view)
    found: dict[int, tuple[Place, int]] = {}
    for node in view.nodes:
        operand = _by_channel(view, constants, node)
        if operand is not None:
            found[node.index] = operand
    for node in view.nodes:
        yield from _range(view, constants, node)
        if node.index not in found or not node.outputs:
            continue
        place, value = found[node.index]
        yield from _single(view, node, place, value)
        for after in view.consumers(node.outputs[0]):
            if after.index in found and {_kind(node), _kind(after)} == {"shift", "factor"}:
                pair = ((node, *found[node.index]), (after, *found[after.index]))
                yield from _pair(view, pair)
    yield from _colours(view, constants, found)


def _range(view: View, constants: Constants, node: Node) -> Iterator[Hypothesis]:
    """Bytes brought to 0 to 1, by another number, or to -1 to 1 on top."""
    if node.name not in {"div", "mul"} or len(node.args) != 2 or len(node.inputs) != 1:
        return
    number, result = node.args[1], node.outputs[0]
    if not isinstance(number, int | float) or isinstance(number, bool) or not number:
        return
    own = float(number)
    if not 16 <= max(abs(own), 1 / abs(own)) <= 1 << 17 or not constants.raw(result):
        return
    shape = view.shape(result)
    if len(shape) < 3 or constants.constant(result) or shape[-1] >= 8 * shape[-2]:
        return  # sound is long and has few channels
    words = f"pixels {'divided by' if node.name == 'div' else 'times'} {own:g}"
    site = view.site(node)
    for label, change, cost in (
        ("and brought from -1 to 1", lambda y: 2 * y - 1, 1.0),
        ("the same number again", lambda y: y / own if node.name == "div" else y * own, 1.1),
        ("not at all", lambda y: y * own if node.name == "div" else y / own, 1.0),
    ):
        edit = view.after(node, change)
        yield Hypothesis(NAME, "scale", words, label, site, (edit,), cost=cost)

    def make(value: float) -> tuple[Edit, ...]:
        return (changed(node, {("a", 1): lambda _, __: value}),)

    guesses = (255.0, 256.0, 127.5, 128.0, 1 / 255, 1 / 256, 1 / 127.5, 65535.0, own)
    solve = Solve(make, abs(own) / 1e3, abs(own) * 1e3, scale="log", reference=own, guesses=guesses)
    yield Hypothesis(
        NAME,
        "scale",
        words,
        words.split(f"{own:g}", maxsplit=1)[0] + "{value:.6g}",
        site,
        solve=solve,
        cost=1.1,
    )


def _kind(node: Node) -> str:
    return "shift" if node.name in _SHIFTS else "factor"


def _by_channel(view: View, constants: Constants, node: Node) -> tuple[Place, int] | None:
    """The operand of an arithmetic operation that holds one number a channel, as a constant."""
    if node.name not in _SHIFTS | _FACTORS or len(node.outputs) + len(node.written) < 1:
        return None
    some = list(places(node))
    if len(some) != 2:
        return None
    fixed = [(place, v) for place, v in some if constants.constant(v) and view.has(v)]
    if len(fixed) != 1 or not view.is_float(fixed[0][1]):
        return None
    place, value = fixed[0]
    shape = view.shape(value)
    many = [n for n in shape if n > 1]
    other = next(v for p, v in some if p != place)
    if len(many) != 1 or not (constants.raw(other) or many[0] <= 4):
        return None
    return place, value


def _single(view: View, node: Node, place: Place, value: int) -> Iterator[Hypothesis]:
    if _kind(node) == "shift":
        options: list[tuple[str, str, Map, float]] = [
            ("mean", "not taken off", torch.zeros_like, 1.1),
            ("mean", "of the other sign", torch.neg, 1.3),
        ]
        said = "mean of each channel"
    else:
        divides = node.name.startswith("div")
        options = [
            ("scale", "left out", torch.ones_like, 1.1),
            ("scale", "the variance" if divides else "squared", torch.square, 1.0),
            ("scale", "the root of it", lambda s: s.abs().sqrt(), 1.2),
            ("scale", "its inverse", torch.reciprocal, 1.2),
            ("scale", "eps=1e-5 added", lambda s: s + 1e-5, 1.5),
            ("scale", "one for all channels", lambda s: s.mean().expand_as(s), 1.6),
        ]
        said = "deviation of each channel"
    for parameter, label, change, cost in options:
        edit = changed(node, {place: _mapped(change)})
        name = _named(view, value, parameter)
        yield Hypothesis(*name, said, label, view.site(node), (edit,), cost=cost)


def _named(view: View, value: int, parameter: str) -> tuple[str, str]:
    """Family and parameter: statistics of colours, or of more channels than there are colours."""
    colours = max(view.shape(value), default=0) <= 4
    return (NAME, parameter) if colours else ("norm", "statistics")


def _mapped(change: Map) -> Change:
    return lambda operand, _: change(operand)


def _pair(view: View, pair: tuple[tuple[Node, Place, int], ...]) -> Iterator[Hypothesis]:
    shift = next(one for one in pair if _kind(one[0]) == "shift")
    factor = next(one for one in pair if _kind(one[0]) == "factor")
    # `mul` before `add` puts statistics back; a factor that is multiplied onto what a mean was
    # taken off is an inverse deviation.
    inverse = pair[0] is shift and factor[0].name.startswith("mul")
    options: list[tuple[str, Map, Map, float]] = [
        ("0.5 and 0.5", lambda m: torch.full_like(m, 0.5), lambda s: torch.full_like(s, 0.5), 1.0),
        ("none", torch.zeros_like, torch.ones_like, 1.1),
        ("those of the channels in reverse", _flipped, _flipped, 1.1),
    ]
    if max(view.shape(shift[2]) or (0,)) == 3:
        for name, (mean, deviation) in _KNOWN.items():
            options.append((f"those of {name}", _numbers(mean), _numbers(deviation), 1.0))
    for label, mean_as, deviation_as, cost in options:
        scale = (lambda s, f=deviation_as: f(s).reciprocal()) if inverse else deviation_as
        edits = (
            changed(shift[0], {shift[1]: _mapped(mean_as)}),
            changed(factor[0], {factor[1]: _mapped(scale)}),
        )
        yield Hypothesis(
            *_named(view, shift[2], "mean"), "mean and deviation of each channel", label,
            view.site(pair[0][0]), edits, cost=cost, value=0.5 if "0.5" in label else None,
        )  # fmt: skip


def _flipped(t: Tensor) -> Tensor:
    return t.flip([axis for axis, n in enumerate(t.shape) if n > 1])


def _numbers(values: tuple[float, ...]) -> Map:
    return lambda t: torch.tensor(values, dtype=t.dtype).reshape(t.shape)


def _colours(
    view: View, constants: Constants, found: dict[int, tuple[Place, int]]
) -> Iterator[Hypothesis]:
    """Blue, green, red: where pictures come in, and where statistics of three colours are used."""
    entered: set[int] = set()
    for node in view.nodes:
        if len(node.outputs) != 1 or not node.inputs:
            continue
        result = node.outputs[0]
        shape = view.shape(result)
        enters = (
            node.span not in entered and constants.raw(result) and not constants.constant(result)
        )
        if not (enters or node.index in found) or len(shape) < 3 or not view.has(result):
            continue
        axes = [axis for axis in range(1, len(shape)) if shape[axis] == 3]
        if not axes:
            continue
        entered.add(node.span)
        for axis in axes:
            edit = view.after(node, _reversed(axis))
            label = "blue, green, red" if len(axes) == 1 else f"axis {axis} in reverse"
            yield Hypothesis(
                NAME, "channels", "red, green, blue", label,
                view.site(node), (edit,), cost=1.0 if enters else 1.1,
            )  # fmt: skip
    yield from _before_statistics(view, found)


def _before_statistics(view: View, found: dict[int, tuple[Place, int]]) -> Iterator[Hypothesis]:
    """Colours in reverse where statistics that are not meet them."""
    for node in view.nodes:
        if node.index not in found or node.written:
            continue
        for place, value in places(node):
            shape = view.shape(value)
            axes = [axis for axis in range(1, len(shape)) if shape[axis] == 3]
            if place == found[node.index][0] or len(shape) < 3 or len(axes) != 1:
                continue
            edit = changed(node, {place: _mapped(_reversed(axes[0]))})
            yield Hypothesis(
                NAME, "channels", "red, green, blue", "blue, green, red, statistics not",
                view.site(node), (edit,), cost=1.05,
            )  # fmt: skip


def _reversed(axis: int) -> Map:
    return lambda y: y.flip(axis)
