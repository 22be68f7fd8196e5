"""Recurrent layers, step by step. Sequences are [time, batch, features]."""

from __future__ import annotations

from collections.abc import Callable

import torch

from parity_coreml.mil.activation import by_name
from parity_coreml.mil.args import Args
from parity_coreml.mil.handlers import handles

__all__: list[str] = []

Cell = Callable[[torch.Tensor, tuple[torch.Tensor, ...]], tuple[torch.Tensor, ...]]


@handles("rnn")
def _rnn(a: Args) -> tuple[torch.Tensor, ...]:
    weight, hidden = a.tensor("weight_ih"), a.tensor("weight_hh")
    bias = a.tensor("bias") if a.has("bias") else torch.zeros(weight.shape[0])
    activation = a.text("activation", "tanh")

    def cell(x: torch.Tensor, state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (by_name(activation, x @ weight.T + state[0] @ hidden.T + bias),)

    every, (last,) = _scan(cell, a.tensor("x"), (a.tensor("initial_h"),), a.text("direction"))
    return (every if a.flag("output_sequence") else last[None], last)


@handles("gru")
def _gru(a: Args) -> tuple[torch.Tensor, ...]:
    """Weights of the reset, output and update gate, in this order."""
    weight, hidden = a.tensor("weight_ih"), a.tensor("weight_hh")
    none = torch.zeros(weight.shape[0])
    bias = a.tensor("bias") if a.has("bias") else none
    given = a.tensor("input_bias") if a.has("input_bias") else none
    gate, outer = a.text("recurrent_activation", "sigmoid"), a.text("activation", "tanh")
    after = a.flag("reset_after")

    def cell(x: torch.Tensor, state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        (h,) = state
        x_reset, x_new, x_update = (x @ weight.T + given).chunk(3, -1)
        h_reset, h_new, h_update = (h @ hidden.T + bias).chunk(3, -1)
        reset = by_name(gate, x_reset + h_reset)
        update = by_name(gate, x_update + h_update)
        if not after:
            size = h.shape[-1]
            h_new = (reset * h) @ hidden[size : 2 * size].T + bias[size : 2 * size]
        new = by_name(outer, x_new + (reset * h_new if after else h_new))
        return ((1 - update) * new + update * h,)

    every, (last,) = _scan(cell, a.tensor("x"), (a.tensor("initial_h"),), a.text("direction"))
    return (every if a.flag("output_sequence") else last[None], last)


@handles("lstm")
def _lstm(a: Args) -> tuple[torch.Tensor, ...]:
    direction = a.text("direction", "forward")
    h, c = a.tensor("initial_h"), a.tensor("initial_c")
    if direction != "bidirectional":
        every, last, memory = _lstm_one_way(a, "", direction, h, c)
    else:
        ways = [("", "forward"), ("_back", "reverse")]
        halves = zip(ways, h.chunk(2, -1), c.chunk(2, -1), strict=True)
        made = [_lstm_one_way(a, suffix, way, h0, c0) for (suffix, way), h0, c0 in halves]
        every, last, memory = (torch.cat(both, -1) for both in zip(*made, strict=True))
    return (every if a.flag("output_sequence") else last[None], last, memory)


def _lstm_one_way(
    a: Args, suffix: str, direction: str, h: torch.Tensor, c: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Weights of the input, forget, output and cell gate, in this order."""
    weight, hidden = a.tensor(f"weight_ih{suffix}"), a.tensor(f"weight_hh{suffix}")
    size = h.shape[-1]
    bias = a.tensor(f"bias{suffix}") if a.has(f"bias{suffix}") else torch.zeros(4 * size)
    peephole = (
        a.tensor(f"peephole{suffix}") if a.has(f"peephole{suffix}") else torch.zeros(3 * size)
    )
    peep_in, peep_forget, peep_out = peephole.chunk(3)
    gate = a.text("recurrent_activation", "sigmoid")
    inner, outer = a.text("cell_activation", "tanh"), a.text("activation", "tanh")
    limit = a.number("clip", torch.inf)

    def cell(x: torch.Tensor, state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        h, c = state
        to_in, to_forget, to_out, to_cell = (x @ weight.T + h @ hidden.T + bias).chunk(4, -1)
        let_in = by_name(gate, to_in + peep_in * c)
        keep = by_name(gate, to_forget + peep_forget * c)
        c = (keep * c + let_in * by_name(inner, to_cell)).clamp(-limit, limit)
        return (by_name(gate, to_out + peep_out * c) * by_name(outer, c), c)

    every, (last, memory) = _scan(cell, a.tensor("x"), (h, c), direction)
    return every, last, memory


def _scan(
    cell: Cell, x: torch.Tensor, state: tuple[torch.Tensor, ...], direction: str
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Every hidden state in the order of the sequence, and the last state."""
    backwards = direction == "reverse"
    every = []
    for step in x.flip(0) if backwards else x:
        state = cell(step, state)
        every.append(state[0])
    sequence = torch.stack(every)
    return (sequence.flip(0) if backwards else sequence), state
