"""LSTM and GRU, step by step, so that each of their conventions can be another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

__all__ = ["Cell", "Recurrence", "Weights", "cell_of"]

Tensor = torch.Tensor
Weights = tuple[Tensor, ...]  # input, hidden, and their biases if there are any
Squash = Callable[[Tensor], Tensor]


def _same(x: Tensor) -> Tensor:
    return x


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One step.

    Attributes:
        kind: `lstm` or `gru`.
        gate: squashes gates.
        new: squashes what is new at a step: the candidate of the cell, or of a GRU's state.
        out: squashes the cell on its way out (LSTM).
        kept: what becomes of the cell, or of a GRU's state, before it is kept.
        reset_first: whether a GRU resets the state before its matrix.
    """

    kind: str
    gate: Squash = torch.sigmoid
    new: Squash = torch.tanh
    out: Squash = torch.tanh
    kept: Squash = _same
    reset_first: bool = False

    def step(self, x: Tensor, state: Sequence[Tensor], weights: Weights) -> list[Tensor]:
        """The next state: hidden, and the cell of an LSTM."""
        w_x, w_h = weights[:2]
        b_x, b_h = weights[2:4] if len(weights) >= 4 else (None, None)
        given = torch.nn.functional.linear(x, w_x, b_x)
        h = state[0]
        if self.kind == "lstm":
            i, f, g, o = (given + torch.nn.functional.linear(h, w_h, b_h)).chunk(4, -1)
            cell = self.gate(f) * state[1] + self.gate(i) * self.new(g)
            cell = self.kept(cell)
            return [self.gate(o) * self.out(cell), cell]
        past = torch.nn.functional.linear(h, w_h, b_h)
        r_x, z_x, n_x = given.chunk(3, -1)
        r_h, z_h, n_h = past.chunk(3, -1)
        r, z = self.gate(r_x + r_h), self.gate(z_x + z_h)
        if self.reset_first:
            rows = w_h.chunk(3)[2]
            bias = b_h.chunk(3)[2] if b_h is not None else None
            n = self.new(n_x + torch.nn.functional.linear(r * h, rows, bias))
        else:
            n = self.new(n_x + r * n_h)
        return [self.kept((1 - z) * n + z * h)]


@dataclass(frozen=True, slots=True, eq=False)
class Recurrence:
    """A recurrent call: what it is given, and how it is run.

    Attributes:
        cell: one step.
        x: [batch, time, channels] or, without `batch_first`, [time, batch, channels]; a single
            step is [batch, channels].
        state: hidden, and cell of an LSTM, [layers * directions, batch, units] each.
        weights: of each layer and direction.
        layers: how many there are.
        both: whether it runs both ways.
        batch_first: which axis comes first.
        single: whether it is one step of a cell.
        backwards: whether it runs from the end in its only direction.
        flipped_back: layers whose backward results are turned to the order of time.
        swapped: layers that put the backward result first.
    """

    cell: Cell
    x: Tensor
    state: tuple[Tensor, ...]
    weights: tuple[Weights, ...]
    layers: int = 1
    both: bool = False
    batch_first: bool = False
    single: bool = False
    backwards: bool = False
    flipped_back: frozenset[int] = field(default_factory=lambda: frozenset(range(64)))
    swapped: frozenset[int] = frozenset()

    def with_weights(self, change: Callable[[Weights], Weights]) -> Recurrence:
        """The same with other weights."""
        return replace(self, weights=tuple(change(one) for one in self.weights))

    def run(self) -> Any:
        """Its result, as torch has it."""
        if self.single:
            made = self.cell.step(self.x, self.state, self.weights[0])
            return tuple(made) if self.cell.kind == "lstm" else made[0]
        x = self.x.transpose(0, 1) if self.batch_first else self.x
        unbatched = x.dim() == 2
        x = x[:, None] if unbatched else x
        state = [s[:, None] if unbatched else s for s in self.state]
        ends: list[list[Tensor]] = [[] for _ in state]
        directions = 2 if self.both else 1
        for layer in range(self.layers):
            made = []
            for direction in range(directions):
                index = layer * directions + direction
                begin = [s[index] for s in state]
                back = direction == 1 or self.backwards
                y, end = self._one(x, begin, self.weights[index], back, layer)
                made.append(y)
                for kept, value in zip(ends, end, strict=True):
                    kept.append(value)
            x = torch.cat(made[::-1] if layer in self.swapped else made, -1)
        finals = [torch.stack(kept) for kept in ends]
        if unbatched:
            x, finals = x[:, 0], [one[:, 0] for one in finals]
        return (x.transpose(0, 1) if self.batch_first else x, *finals)

    def _one(
        self, x: Tensor, state: list[Tensor], weights: Weights, back: bool, layer: int
    ) -> tuple[Tensor, list[Tensor]]:
        results = []
        for step in x.flip(0) if back else x:
            state = self.cell.step(step, state, weights)
            results.append(state[0])
        y = torch.stack(results)
        return (y.flip(0) if back and layer in self.flipped_back else y), state


_CALLS = {"lstm": "lstm", "gru": "gru"}
_CELLS = {"lstm_cell": "lstm", "gru_cell": "gru"}


def cell_of(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Recurrence | None:
    """A recurrent call of torch by its arguments; None for other operations and packed input."""
    if name in _CELLS:
        names = ("input", "hx", "w_ih", "w_hh", "b_ih", "b_hh")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        state = given["hx"]
        weights = tuple(given[n] for n in names[2:] if given.get(n) is not None)
        state = tuple(state) if isinstance(state, tuple | list) else (state,)
        return Recurrence(Cell(_CELLS[name]), given["input"], state, (weights,), single=True)
    if name not in _CALLS or len(args) < 9 or kwargs:
        return None
    x, state, flat, biased, layers, _, _, both, batch_first = args
    state = tuple(state) if isinstance(state, tuple | list) else (state,)
    if not isinstance(flat, tuple | list) or not all(isinstance(s, Tensor) for s in state):
        return None
    size = 4 if biased else 2
    count = layers * (2 if both else 1)
    if len(flat) != size * count:
        return None  # with projections, which are rare
    weights = tuple(tuple(flat[i : i + size]) for i in range(0, len(flat), size))
    return Recurrence(
        Cell(_CALLS[name]), x, state, weights, int(layers), bool(both), bool(batch_first)
    )


def gates_permuted(order: Sequence[int]) -> Callable[[Weights], Weights]:
    """Weights whose gates stand in another order."""

    def change(weights: Weights) -> Weights:
        return tuple(torch.cat([w.chunk(len(order))[i] for i in order]) for w in weights)

    return change


def one_gate(
    count: int, gate: int, change: Squash, *, only: frozenset[int] = frozenset(range(4))
) -> Callable[[Weights], Weights]:
    """Weights with one gate's part changed, in those of the four tensors that are in `only`."""

    def apply(weights: Weights) -> Weights:
        return tuple(
            torch.cat([change(p) if i == gate else p for i, p in enumerate(w.chunk(count))])
            if place in only
            else w
            for place, w in enumerate(weights)
        )

    return apply


def squares(weights: Sequence[Weights]) -> Iterator[int]:
    """Layers whose two matrices have one shape and could be exchanged."""
    for index, one in enumerate(weights):
        if one[0].shape == one[1].shape:
            yield index
