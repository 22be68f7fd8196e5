"""Sines and cosines of a ladder of frequencies: computed in the run, or a table made before it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch

from parity.diagnose.view import View
from parity.localize.tape import LEAF, Node, Ref, refs_of

__all__ = ["Ladder", "TableWave", "Wave", "ladder_of", "table_wave", "waves"]

Tensor = torch.Tensor
_JOINS = frozenset({"cat", "concat", "concatenate", "stack"})
_MERGES = frozenset({"flatten", "reshape", "view"})


@dataclass(frozen=True, slots=True, eq=False)
class Ladder:
    """Frequencies that fall by one factor from each to the next: `theta ** (-k / (n - shift))`.

    Attributes:
        relative: each by the first, `(n,)`.
        theta: the period's base.
        shift: what is taken off n in the exponent.
    """

    relative: Tensor
    theta: float
    shift: int

    def ratio(self, theta: float, shift: int) -> Tensor:
        """What to multiply each frequency with for another base or shift, `(n,)`."""
        count = self.relative.shape[0]
        steps = torch.arange(count, dtype=torch.float64)
        other = torch.exp(-math.log(theta) * steps / max(count - shift, 1))
        return other / self.relative


def ladder_of(relative: Tensor) -> Ladder | None:
    """The ladder that frequencies `(n,)`, the first of which is 1, stand on; None if on none."""
    relative = relative.double()
    count = relative.shape[0]
    if count < 2 or not bool((relative > 0).all() and torch.isfinite(relative).all()):
        return None
    logs = relative.log()
    fall = -float(logs[-1]) / (count - 1)
    expected = -fall * torch.arange(count, dtype=torch.float64)
    if abs(fall) < 1e-6 or float((logs - expected).abs().max()) > 2e-3:
        return None
    bases = {shift: math.exp(min(fall * max(count - shift, 1), 600.0)) for shift in (0, 1)}
    # Whoever chose the base chose a round number.
    shift = min(bases, key=lambda s: _roughness(bases[s]) + 1e-9 * s)
    return Ladder(relative, bases[shift], shift)


def _roughness(number: float) -> float:
    """How far a number is from one with a single digit that is not zero, relatively."""
    if number <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(number) + 1e-6)
    return abs(number / unit - round(number / unit)) / (number / unit)


@dataclass(frozen=True, slots=True, eq=False)
class Wave:
    """Cosines and sines, put together.

    Attributes:
        trigonometric: the operations `cos` and `sin`, in the order in which they are put together:
            two of the same angles, or more, of the angles of several axes.
        parts: their results.
        angles: what the first is of, `(..., n)`.
        joins: the operation whose result is the whole, or the two writes that make it.
        layout: `half` (all of one, then all of the other) or `interleaved`.
        ladder: of the frequencies, if they stand on one.
    """

    trigonometric: tuple[Node, ...]
    parts: tuple[int, ...]
    angles: int
    joins: tuple[Node, ...]
    layout: str
    ladder: Ladder | None

    @property
    def order(self) -> str:
        """`cos, sin` or `sin, cos`."""
        return ", ".join(node.name for node in self.trigonometric)


def waves(view: View) -> Iterator[Wave]:
    """The waves whose last operation lies in the segment."""
    writes: dict[int, list[Node]] = {}
    for node in view.nodes:
        if node.name in _JOINS and node.args and isinstance(node.args[0], tuple | list):
            found = _joined(view, node)
            if found is not None:
                yield found
        elif node.name == "setitem" and len(node.args) == 3 and isinstance(node.args[2], Ref):
            group = view.tape.values[node.written[0]].group if node.written else -1
            writes.setdefault(group, []).append(node)
    for nodes in writes.values():
        for first, second in pairwise(nodes):
            found = _written(view, first, second)
            if found is not None:
                yield found


def _joined(view: View, node: Node) -> Wave | None:
    parts = [one.value for one in node.args[0] if isinstance(one, Ref)]
    if len(parts) != len(node.args[0]) or len(node.outputs) != 1:
        return None
    if len(parts) != 2:
        return _of_several(view, node, parts)
    pair = _pair(view, parts[0], parts[1])
    rank = len(view.shape(parts[0]))
    axis = view.argument(node, 1, "dim", node.kwargs.get("axis", 0))
    if pair is None or not isinstance(axis, int) or not rank:
        return None
    if node.name != "stack":
        last = axis in (-1, rank - 1)
        return _wave(view, pair, (parts[0], parts[1]), (node,), "half") if last else None
    merge = next(iter(view.consumers(node.outputs[0])), None)
    wide = 2 * view.shape(parts[0])[-1]
    if merge is None or merge.name not in _MERGES or view.shape(merge.outputs[0])[-1:] != (wide,):
        return None
    layout = {rank: "interleaved", rank - 1: "half"}.get(axis % (rank + 1))
    return _wave(view, pair, (parts[0], parts[1]), (merge,), layout) if layout else None


def _of_several(view: View, node: Node, parts: list[int]) -> Wave | None:
    """The waves of several axes side by side: cosine and sine of each."""
    made = [one for part in parts if (one := view.producer(part)) is not None]
    if len(made) != len(parts) or len(parts) not in (4, 6) or node.name == "stack":
        return None
    if any(one.name not in ("cos", "sin") for one in made):
        return None
    angles = next(refs_of(made[0].args), -1)
    if angles < 0 or not view.has(angles) or not view.value(angles).numel():
        return None
    ladder = _ladder_of_angles(view.value(angles))
    return Wave(tuple(made), tuple(parts), angles, (node,), "several", ladder)


def _written(view: View, first: Node, second: Node) -> Wave | None:
    parts = first.args[2].value, second.args[2].value
    pair = _pair(view, *parts)
    target = view.tensor_argument(first, 0, "self")
    if pair is None or target is None or not view.shape(target):
        return None
    if view.shape(target)[-1] != 2 * view.shape(parts[0])[-1]:
        return None
    layout = "interleaved" if 2 in (_last_step(first), _last_step(second)) else "half"
    return _wave(view, pair, parts, (first, second), layout)


def _last_step(node: Node) -> int | None:
    index = node.args[1][-1] if isinstance(node.args[1], tuple) and node.args[1] else node.args[1]
    return index.step if isinstance(index, slice) else None


def _pair(view: View, one: int, other: int) -> tuple[Node, Node] | None:
    """The cosine and the sine that two values are, of the same angles."""
    first, second = view.producer(one), view.producer(other)
    if first is None or second is None or {first.name, second.name} != {"cos", "sin"}:
        return None
    return first, second


def _wave(
    view: View,
    pair: tuple[Node, Node],
    parts: tuple[int, int],
    joins: tuple[Node, ...],
    layout: str,
) -> Wave | None:
    angles = [next(refs_of(node.args), -1) for node in pair]
    if -1 in angles or not all(map(view.has, angles)):
        return None
    one, other = (view.value(value) for value in angles)
    if one.shape != other.shape or not one.numel() or not torch.equal(one, other):
        return None
    return Wave(pair, parts, angles[0], joins, layout, _ladder_of_angles(one))


def _ladder_of_angles(angles: Tensor) -> Ladder | None:
    rows = angles.reshape(-1, angles.shape[-1])
    row = rows[int(rows[:, 0].abs().argmax())].double()
    if not angles.dim() or not float(row[0].abs()) > 0:
        return None
    return ladder_of(row / row[0])


@dataclass(frozen=True, slots=True, eq=False)
class TableWave:
    """A constant `(..., positions, 2 n)` of cosines and sines.

    Attributes:
        value: the constant.
        shape: its shape.
        start: the position of its first row.
        frequencies: `(n,)`.
        layout: `half` or `interleaved`.
        order: `cos, sin` or `sin, cos`.
        ladder: of the frequencies.
    """

    value: int
    shape: tuple[int, ...]
    start: float
    frequencies: Tensor
    layout: str
    order: str
    ladder: Ladder

    def table(
        self,
        *,
        ratio: Tensor | float = 1.0,
        shift: float = 0.0,
        layout: str | None = None,
        order: str | None = None,
    ) -> Tensor:
        """The table with other frequencies, from another position, or put together otherwise."""
        positions = torch.arange(self.shape[-2], dtype=torch.float64) + self.start + shift
        angles = positions[:, None] * (self.frequencies * ratio)
        parts = [angles.cos(), angles.sin()]
        if (order or self.order) == "sin, cos":
            parts.reverse()
        interleaved = (layout or self.layout) == "interleaved"
        whole = torch.stack(parts, -1).flatten(-2) if interleaved else torch.cat(parts, -1)
        return whole.float().expand(self.shape)


def table_wave(view: View, value: int) -> TableWave | None:
    """The wave that a constant is; None for other constants."""
    shape = view.shape(value)
    if view.tape.values[value].node != LEAF or not view.is_float(value) or len(shape) < 2:
        return None
    if shape[-2] < 3 or shape[-1] < 4 or shape[-1] % 2 or any(n > 1 for n in shape[:-2]):
        return None
    rows = view.value(value).reshape(shape[-2:])[:4].double()
    if not float(rows.abs().max()) <= 1 + 1e-5:
        return None
    for layout in ("half", "interleaved"):
        first, second = _parts(rows, layout)
        if float((first.square() + second.square() - 1).abs().max()) > 1e-3:
            continue
        for order, parts in (("cos, sin", (first, second)), ("sin, cos", (second, first))):
            found = _fitted(view, value, parts, layout=layout, order=order)
            if found is not None:
                return found
    return None


def _parts(rows: Tensor, layout: str) -> tuple[Tensor, Tensor]:
    if layout == "interleaved":
        return rows[:, 0::2], rows[:, 1::2]
    half = rows.shape[-1] // 2
    return rows[:, :half], rows[:, half:]


def _fitted(
    view: View, value: int, parts: tuple[Tensor, Tensor], *, layout: str, order: str
) -> TableWave | None:
    cos, sin = parts
    angles = torch.atan2(sin, cos)
    frequencies = torch.remainder(angles[1] - angles[0], 2 * math.pi)
    if not bool(((frequencies > 0) & (frequencies < math.pi)).all()):
        return None
    ladder = ladder_of(frequencies / frequencies[0])
    if ladder is None:
        return None
    # The slowest wave has not turned round yet: its first angle says where the table starts.
    start = float(round(float(angles[0, -1] / frequencies[-1])))
    exact = frequencies[0] * ladder.ratio(ladder.theta, ladder.shift) * ladder.relative
    found = TableWave(value, view.shape(value), start, exact, layout, order, ladder)
    own = view.value(value).double()
    if float((found.table().double() - own).norm()) > 2e-2 * float(own.norm()):
        return None
    return found
