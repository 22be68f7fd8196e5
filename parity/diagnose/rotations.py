"""Rotations of pairs of channels by the position, found by what they do to the values.

A rotation keeps the length of every pair. Which channels make a pair, how many of them are turned
and by how much is read off input and output; so it does not matter whether a reference writes it
with complex numbers, halves that are put together, or a stack.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch

from parity.diagnose.view import View
from parity.localize.tape import Node

__all__ = ["Layout", "Rotation", "rotations", "turned", "turns_of"]

Tensor = torch.Tensor
_CLOSE = 3e-5
_REACH = 60
_ENDS = frozenset({
    "add", "cat", "concat", "view", "reshape", "flatten", "type_as", "to", "stack", "add_",
    "__setitem__", "sub", "float", "view_as", "mul", "apply_rotary_emb", "half", "__add__",
    "reshape_as", "addcmul", "matmul", "einsum",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """Which channels make pairs.

    Attributes:
        kind: `halves` (i and i + n/2), `interleaved` (2i and 2i + 1), `blocks` (halves of each
            half of the channels, as two axes of a picture have it).
        turned: how many channels are turned.
        last: whether these are the last of a head; else the first.
    """

    kind: str
    turned: int
    last: bool = False

    def pairs(self, x: Tensor) -> Tensor:
        """The turned channels of x [..., channels] as complex128 numbers, [..., pairs]."""
        part = (x[..., -self.turned :] if self.last else x[..., : self.turned]).double()
        if self.kind == "interleaved":
            a, b = part[..., ::2], part[..., 1::2]
        elif self.kind == "blocks":
            quarter = part.reshape(*part.shape[:-1], 2, 2, -1)
            a, b = quarter[..., 0, :].flatten(-2), quarter[..., 1, :].flatten(-2)
        else:
            a, b = part.chunk(2, -1)
        return torch.complex(a.contiguous(), b.contiguous())

    def put(self, x: Tensor, pairs: Tensor) -> Tensor:
        """A copy of `x` with its turned channels replaced."""
        a, b = pairs.real, pairs.imag
        if self.kind == "interleaved":
            part = torch.stack([a, b], -1).flatten(-2)
        elif self.kind == "blocks":
            halves = [t.reshape(*t.shape[:-1], 2, -1) for t in (a, b)]
            part = torch.stack(halves, -2).flatten(-3)
        else:
            part = torch.cat([a, b], -1)
        part = part.to(x.dtype)
        rest = x.shape[-1] - self.turned
        return torch.cat([x[..., :rest], part] if self.last else [part, x[..., self.turned :]], -1)


@dataclass(frozen=True, slots=True, eq=False)
class Rotation:
    """A place where a tensor is turned.

    Attributes:
        node: the operation that makes the turned tensor.
        source: the value that is turned, [..., channels].
        result: the turned value.
        layout: which channels make pairs.
        axis: along which axis the positions lie.
        start: position of the first; None if it could not be told.
        rates: angle per position of each pair; empty if it could not be told.
    """

    node: Node
    source: int
    result: int
    layout: Layout
    axis: int
    start: float | None
    rates: tuple[float, ...]

    @property
    def theta(self) -> float:
        """The base of the rates, if they fall geometrically; else NaN."""
        return theta_of(self.rates)


def theta_of(rates: Sequence[float]) -> float:
    """The base whose powers rates are: `scale * theta ** (-i / n)`; NaN if they are none.

    Rounded to three digits: slow rates are not known better.
    """
    if len(rates) < 2 or min(rates) <= 0:
        return math.nan
    logs = [math.log(rate) for rate in rates]
    # Angles are known to the same absolute precision, so fast rates count for most.
    weights = [rate * rate * i * i for i, rate in enumerate(rates)]
    falls = [(logs[0] - logs[i]) * i / (i * i) if i else 0.0 for i in range(len(rates))]
    step = sum(w * f for w, f in zip(weights, falls, strict=True)) / max(sum(weights), 1e-300)
    if step <= 0 or any(abs(logs[0] - i * step - logs[i]) > 2e-2 for i in range(len(logs))):
        return math.nan
    return float(f"{math.exp(step * len(rates)):.3g}")


def rotations(view: View) -> list[Rotation]:
    """The rotations in a stretch, in order."""
    found = _FOUND.get(view)
    if found is None:
        found = _FOUND[view] = _rotations(view)
    return found


# Several families ask for those of the same stretch.
_FOUND: WeakKeyDictionary[View, list[Rotation]] = WeakKeyDictionary()


def _rotations(view: View) -> list[Rotation]:
    lengths = _Lengths(view)
    found: list[Rotation] = []
    for node in view.nodes:
        if node.name not in _ENDS or len(node.outputs) != 1:
            continue
        result = node.outputs[0]
        shape = view.shape(result)
        if len(shape) < 2 or shape[-1] < 4 or shape[-1] % 2 or not lengths.usable(result):
            continue
        for source in _sources(view, node, lengths):
            if any(r.source == source and _same(view, r.result, result) for r in found):
                break
            rotation = _recognise(view, node, source, result)
            if rotation is not None:
                found.append(rotation)
                break
    return found


def _same(view: View, a: int, b: int) -> bool:
    return a == b or (view.shape(a) == view.shape(b) and torch.equal(view.value(a), view.value(b)))


class _Lengths:
    """Norms of values, each computed once."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._known: dict[int, float] = {}

    def usable(self, value: int) -> bool:
        view = self.view
        return view.is_float(value) and view.has(value) and math.isfinite(self.of(value))

    def of(self, value: int) -> float:
        found = self._known.get(value)
        if found is None:
            tensor = self.view.value(value)
            found = float(tensor.double().norm()) if tensor.numel() else math.nan
            self._known[value] = found
        return found


def _sources(view: View, node: Node, lengths: _Lengths) -> Iterator[int]:
    """Values that an operation's result comes from, of its shape and its length, nearest first."""
    result = node.outputs[0]
    shape = view.shape(result)
    goal = lengths.of(result)
    queue, seen = list(node.inputs), set(node.inputs)
    steps = 0
    matches = []
    while queue and steps < _REACH:
        value = queue.pop(0)
        steps += 1
        alike = view.shape(value) == shape and not view.is_parameter(value)
        if alike and lengths.usable(value) and 0 < goal >= 1e4 * abs(lengths.of(value) - goal):
            matches.append(value)
        made = view.producer(value)
        if made is not None:
            fresh = [v for v in made.inputs if v not in seen]
            seen.update(fresh)
            queue += fresh
    return iter(matches[:4])


def _recognise(view: View, node: Node, source: int, result: int) -> Rotation | None:
    x, y = view.value(source), view.value(result)
    if x.numel() > 8_000_000 or torch.equal(x, y):
        return None
    size = float(y.double().norm())
    lengths_x, lengths_y = x.double().norm(dim=-1), y.double().norm(dim=-1)
    if float((lengths_x - lengths_y).norm()) > _CLOSE * size:
        return None
    for layout in _layouts(x.shape[-1]):
        a, b = layout.pairs(x), layout.pairs(y)
        if float((a.abs() - b.abs()).norm()) > _CLOSE * size:
            continue
        if not torch.allclose(layout.put(x, b), y, rtol=1e-4, atol=1e-5 * float(y.abs().max())):
            continue
        for axis in _axes(x):
            turns = turns_of(layout, axis, x, y)
            if float((a * turns - b).norm()) <= 2 * _CLOSE * size:
                if _constant(turns):
                    return None
                start, rates = _progress(turns, axis)
                return Rotation(node, source, result, layout, axis, start, rates)
    return None


def _constant(turns: Tensor) -> bool:
    """Whether all pairs are turned alike at all positions: a step of a rotation, not one."""
    first = turns.flatten()[:1]
    return turns.shape[-1] > 1 and bool(((turns - first).abs() < 1e-4).all())


def _layouts(channels: int) -> Iterator[Layout]:
    """Layouts, the least number of turned channels first that explain what changed."""
    for numerator, denominator in ((1, 8), (1, 4), (3, 8), (1, 2), (3, 4), (1, 1)):
        turned = channels * numerator // denominator
        if channels * numerator % denominator or turned < 2 or turned % 2:
            continue
        for last in (False, True) if turned < channels else (False,):
            yield Layout("halves", turned, last)
            if turned > 2:
                yield Layout("interleaved", turned, last)
            if turned % 4 == 0:
                yield Layout("blocks", turned, last)


def _axes(x: Tensor) -> list[int]:
    """Axes on which positions may lie, the likeliest first; one of several numbers if there is."""
    axes = [axis for axis in range(x.dim() - 2, -1, -1) if x.shape[axis] > 1]
    single = [axis for axis in range(x.dim() - 2, 0, -1) if x.shape[axis] == 1]
    # Equal angles on all axes: the one of length one is that of the positions.
    return [*single, *axes] or [max(x.dim() - 2, 0)]


def turns_of(layout: Layout, axis: int, x: Tensor, y: Tensor) -> Tensor:
    """By what pairs are turned: complex numbers of length one, with ones for other axes."""
    a, b = layout.pairs(x), layout.pairs(y)
    others = [i for i in range(a.dim() - 1) if i != axis]
    product = b * a.conj()
    if others:
        product = product.sum(dim=others, keepdim=True)
    size = product.abs()
    return torch.where(size > 0, product / size.clamp_min(1e-300), torch.ones_like(product))


def turned(layout: Layout, x: Tensor, turns: Tensor) -> Tensor:
    """A copy of `x` with its pairs turned."""
    return layout.put(x, layout.pairs(x) * turns)


def _progress(turns: Tensor, axis: int) -> tuple[float | None, tuple[float, ...]]:
    """The first position, and the rates, if angles grow evenly with the position."""
    table = turns.movedim(axis, 0).reshape(turns.shape[axis], -1)
    if table.shape[0] < 2:
        return None, ()
    steps = table[1:] * table[:-1].conj()
    mean = steps.mean(0)
    if float((steps - mean / mean.abs().clamp_min(1e-300)).abs().max()) > 3e-3:
        return None, ()
    rates = _refined(table, torch.angle(mean))
    if float(rates.sum()) < 0:
        rates = -rates
        table = table.conj()
    if bool((rates < -1e-7).any()):
        return None, ()
    return first_position(table[0], rates), tuple(float(r) for r in rates)


def _refined(table: Tensor, rates: Tensor) -> Tensor:
    """Rates from the whole table, the first guess being good enough to count full turns."""
    count = table.shape[0]
    span = 1
    while span * 2 < count:
        span *= 2
        found = torch.angle((table[span:] * table[:-span].conj()).mean(0))
        turns = torch.round((rates * span - found) / (2 * math.pi))
        rates = (found + 2 * math.pi * turns) / span
    return rates


def first_position(turns: Tensor, rates: Tensor) -> float | None:
    """The position at which pairs of given rates are turned so, by the slow ones first."""
    order = torch.argsort(rates)
    rates, angles = rates[order], torch.angle(turns[order])
    known = rates > 1e-7
    if not bool(known.any()):
        return None
    rates, angles = rates[known], angles[known]
    position = float(angles[0] / rates[0])
    if position < -0.5:
        position += 2 * math.pi / float(rates[0])
    for rate, angle in zip(rates[1:].tolist(), angles[1:].tolist(), strict=True):
        full = round((position * rate - angle) / (2 * math.pi))
        position = (angle + 2 * math.pi * full) / rate
    return position


def numbers_of(view: View, nodes: Sequence[Node]) -> dict[int, int]:
    """For each of some operations, how many of them ran in its call before it."""
    counts: dict[int, int] = {}
    found = {}
    for node in nodes:
        number = counts.get(node.span, 0)
        found[node.index] = number
        counts[node.span] = number + 1
    del view
    return found
