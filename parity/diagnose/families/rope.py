"""Rotary positions: pairs of channels, angles, sign, where and to what they are applied."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from parity.diagnose.angle_tables import tables
from parity.diagnose.chained import Chained
from parity.diagnose.hypothesis import Hypothesis, Site, Solve
from parity.diagnose.rotations import (
    Layout,
    Rotation,
    first_position,
    numbers_of,
    rotations,
    turned,
    turns_of,
)
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "rope"
_KINDS = {"halves": "channels i and i + n/2", "interleaved": "channels 2i and 2i + 1"}
_KINDS["blocks"] = "halves of each half of the channels"


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    """What is done otherwise in a rotation.

    Attributes:
        turns: other turns, [.., positions, .., pairs], from the reference's.
        layout: another layout.
        apart: whether the tensor is left as it is.
    """

    turns: Callable[[Tensor], Tensor] | None = None
    layout: Layout | None = None
    apart: bool = False


class _Turner:
    """Computes a rotation under changes; one for each rotation, so that these know each other."""

    def __init__(self, layout: Layout, axis: int) -> None:
        self.layout = layout
        self.axis = axis

    def __call__(self, operands: Operands, changes: Sequence[_Change]) -> Tensor:
        y, x = operands.default(), operands.reads[0]
        turns = turns_of(self.layout, self.axis, x, y)
        layout = self.layout
        for change in changes:
            if change.apart:
                return x
            layout = change.layout or layout
            if change.turns is not None:
                turns = change.turns(turns)
        return turned(layout, x, turns)


def propose(view: View) -> Iterator[Hypothesis]:
    """Other rotations wherever the reference turns pairs of channels by positions."""
    found = rotations(view)
    numbers = numbers_of(view, [rotation.node for rotation in found])
    # Where the angles are made here, they are better changed there, for all rotations at once.
    made_here = bool(found) and bool(tables(view))
    several = len({r.node.span for r in found}) < len(found)
    for rotation in found:
        node = rotation.node
        proposals = _Proposals(rotation, Site(view.path(node), "rotation", node.source))
        yield from proposals.all(angles=not made_here)
        if several:
            site = Site(view.path(node), f"rotation.{numbers[node.index]}", node.source)
            yield from _Proposals(rotation, site, further=0.15).alone()


class _Proposals:
    """What may be otherwise in one rotation."""

    def __init__(self, rotation: Rotation, site: Site, *, further: float = 0.0) -> None:
        self.rotation = rotation
        self.site = site
        self.further = further
        self.turner = _Turner(rotation.layout, rotation.axis)

    def all(self, *, angles: bool) -> Iterator[Hypothesis]:
        """All of them, those of rates and positions if wanted."""
        yield from self.alone()
        yield from self._fraction()
        yield self._axis()
        yield from self._halves()
        if self.rotation.rates and angles:
            yield from self._rates()
        if self.rotation.start is not None and angles:
            yield from self._start()

    def alone(self) -> Iterator[Hypothesis]:
        """Those that are often made of queries or keys alone."""
        layout = self.rotation.layout
        yield self._say("applied", "turned by positions", "not turned", _Change(apart=True), 0.9)
        yield self._say("sign", "turned forwards", "backwards", _Change(turns=torch.conj), 1.0)
        for kind, text in _KINDS.items():
            if kind == layout.kind or (kind == "blocks" and layout.turned % 4):
                continue
            other = Layout(kind, layout.turned, layout.last)
            cost = 1.0 if kind != "blocks" else 1.6
            yield self._say(
                "layout", f"pairs are {_KINDS[layout.kind]}", text, _Change(layout=other), cost
            )

    def _edit(self, change: _Change) -> Edit:
        return Edit(self.rotation.node.index, Chained(change, self.turner), (self.rotation.source,))

    def _say(  # noqa: PLR0917
        self,
        parameter: str,
        reference: str,
        candidate: str,
        change: _Change,
        cost: float,
        value: float | None = None,
    ) -> Hypothesis:
        return Hypothesis(
            NAME, parameter, reference, candidate, self.site, (self._edit(change),),
            cost=cost + self.further, value=value,
        )  # fmt: skip

    def _solve(  # noqa: PLR0917
        self,
        parameter: str,
        reference: str,
        candidate: str,
        solve: Callable[[Callable[[float], tuple[Edit, ...]]], Solve],
        turns: Callable[[Tensor, float], Tensor],
        cost: float,
    ) -> Hypothesis:
        def make(value: float) -> tuple[Edit, ...]:
            return (self._edit(_Change(turns=lambda t: turns(t, value))),)

        return Hypothesis(
            NAME, parameter, reference, candidate, self.site, solve=solve(make),
            cost=cost + self.further,
        )  # fmt: skip

    def _fraction(self) -> Iterator[Hypothesis]:
        """Part of the channels, with the first of the angles or with a table of their own."""
        layout = self.rotation.layout
        for parts in (2, 4):
            turned_now = layout.turned // parts
            if turned_now < 2 or turned_now % 2 or layout.turned % parts:
                continue
            fewer = Layout(layout.kind, turned_now)
            count = turned_now // 2
            text = f"1/{parts} of them"
            for turns, cost in (
                (lambda t, n=count: t[..., :n], 1.1),
                (lambda t, p=parts: t[..., ::p], 1.2),
            ):
                change = _Change(turns=turns, layout=fewer)
                detail = text if cost < 1.15 else f"{text}, rates anew"
                yield self._say(
                    "fraction",
                    f"{layout.turned} channels are turned",
                    detail,
                    change,
                    cost,
                    1.0 / parts,
                )
        if self.rotation.rates and math.isfinite(self.rotation.theta):
            yield from self._whole()

    def _whole(self) -> Iterator[Hypothesis]:
        """All channels, where the reference turns a part."""
        layout, rates = self.rotation.layout, self.rotation.rates
        for factor in (2, 4):
            wide = Layout(layout.kind, layout.turned * factor)
            count = len(rates) * factor
            fresh = [rates[0] * self.rotation.theta ** (-i / count) for i in range(count)]

            def turns(given: Tensor, fresh: Sequence[float] = fresh) -> Tensor:
                return _turns_at(self._positions(given), fresh)

            yield self._say(
                "fraction", f"{layout.turned} channels are turned", f"{factor} times as many",
                _Change(turns=turns, layout=wide), 1.3, float(factor),
            )  # fmt: skip

    def _axis(self) -> Hypothesis:
        """Positions counted along the axis beside that of the positions."""
        axis = self.rotation.axis

        def change(operands: Operands, changes: Sequence[_Change]) -> Tensor:
            del changes
            y, x = operands.default(), operands.reads[0]
            turns = turns_of(self.rotation.layout, axis, x, y).movedim(axis, 0)
            other = axis - 1 if axis == x.dim() - 2 else axis + 1
            rows = torch.arange(x.shape[other]) % turns.shape[0]
            return turned(self.rotation.layout, x, turns[rows].movedim(0, other).reshape(
                [x.shape[i] if i == other else 1 for i in range(x.dim() - 1)] + [turns.shape[-1]]
            ))  # fmt: skip

        edit = Edit(self.rotation.node.index, Chained(_Change(), change), (self.rotation.source,))
        return Hypothesis(
            NAME, "axis", "positions along the tokens", "positions along the heads", self.site,
            (edit,), cost=1.3 + self.further,
        )  # fmt: skip

    def _halves(self) -> Iterator[Hypothesis]:
        """Two axes of a picture exchanged."""
        if self.rotation.rates:
            return
        pairs = self.rotation.layout.turned // 2
        if pairs % 2 == 0 and self.rotation.start is None:
            yield self._say(
                "axis", "rows, then columns", "columns, then rows",
                _Change(turns=lambda t: t.roll(pairs // 2, -1)), 1.4,
            )  # fmt: skip
            yield self._say(
                "axis", "channels of rows and columns apart", "by turns",
                _Change(turns=lambda t: t.reshape(*t.shape[:-1], 2, -1).mT.flatten(-2)), 1.5,
            )  # fmt: skip

    def _positions(self, turns: Tensor) -> Tensor:
        """Position of each turn, in the shape of the turns with one pair."""
        rates = torch.tensor(self.rotation.rates, dtype=torch.float64)
        axis = self.rotation.axis
        table = turns.movedim(axis, 0).reshape(turns.shape[axis], -1)
        start = first_position(_forwards(table[0], rates), rates) or 0.0
        shape = [1] * turns.dim()
        shape[axis] = turns.shape[axis]
        return start + torch.arange(turns.shape[axis], dtype=torch.float64).reshape(shape)

    def _rates(self) -> Iterator[Hypothesis]:
        rates, theta = self.rotation.rates, self.rotation.theta
        if math.isfinite(theta):

            def other_base(turns: Tensor, value: float) -> Tensor:
                power = math.log(value) / math.log(theta)
                fresh = [rates[0] * (rate / rates[0]) ** power for rate in rates]
                return _turns_at(self._positions(turns), fresh)

            yield self._solve(
                "theta", f"theta {theta:.3g}", "theta {value:.4g}",
                lambda make: Solve(make, 10.0, 1e8, "log", theta, _THETAS), other_base, 1.0,
            )  # fmt: skip

        def scaled(turns: Tensor, value: float) -> Tensor:
            fresh = [rate * value / rates[0] for rate in rates]
            return _turns_at(self._positions(turns), fresh)

        yield self._solve(
            "scaling", f"positions times {rates[0]:.3g}", "positions times {value:.4g}",
            lambda make: Solve(make, 1e-2, 1e2, "log", rates[0], (1.0, 0.5, 0.25, 0.125, 2.0)),
            scaled, 1.1,
        )  # fmt: skip

    def _start(self) -> Iterator[Hypothesis]:
        rates = self.rotation.rates
        start = self.rotation.start or 0.0

        def moved(turns: Tensor, value: float) -> Tensor:
            return _turns_at(self._positions(turns) + value, rates)

        def later(turns: Tensor, value: float) -> Tensor:
            positions = self._positions(turns)
            if float(positions.min()) < 0.5:
                return turns
            return _turns_at(positions + value, rates)

        def again(turns: Tensor) -> Tensor:
            positions = self._positions(turns)
            return _turns_at(positions - positions.min(), rates)

        low = float(-math.ceil(min(start, 40.0)) - 4)
        where = "positions of the tokens"
        yield self._solve(
            "offset", where, "positions plus {value:.0f}",
            lambda make: Solve(make, low, 16.0, "integer", 0.0), moved, 1.1,
        )  # fmt: skip
        if start > 0.5:
            yield self._solve(
                "offset", where, "plus {value:.0f} in calls that go on",
                lambda make: Solve(make, low, 16.0, "integer", 0.0), later, 1.05,
            )  # fmt: skip
            yield self._say(
                "offset", "positions go on from call to call", "they start again in each call",
                _Change(turns=again), 1.0,
            )  # fmt: skip


_THETAS = (1e4, 1e5, 5e5, 1e6, 1e3, 100.0, 5e4)


def _forwards(turns: Tensor, rates: Tensor) -> Tensor:
    """Turns as a rotation forwards has them."""
    del rates
    return turns


def _turns_at(positions: Tensor, rates: Sequence[float]) -> Tensor:
    """Turns of pairs at positions [..., 1]."""
    angles = positions * torch.tensor(list(rates), dtype=torch.float64)
    return torch.polar(torch.ones_like(angles), angles)
