"""The port's LSTM layers and GRU cells, gate by gate."""

from __future__ import annotations

from dataclasses import replace

import torch

from benchmarks.faults.pairs.vocoder.ops import Place, product

__all__ = ["gru_cell", "lstm"]


def lstm(place: Place, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Two bidirectional layers, [batch, frames, channels].

    Returns:
        [batch, frames, 2 * units], and the last states: forward, backward of each layer.
    """
    hidden, cells = [], []
    for layer in range(2):
        ahead, h, c = one_way(place, x, f"l{layer}", backward=False)
        hidden, cells = [*hidden, h], [*cells, c]
        shared = layer == 0 and place.has("backward_by_forward_weights")
        name = f"l{layer}" if shared else f"l{layer}_reverse"
        back, h, c = one_way(place, x, name, backward=True)
        hidden, cells = [*hidden, h], [*cells, c]
        if layer == 1 and place.has("backward_not_flipped"):
            back = back.flip(1)
        swapped = layer == 1 and place.has("directions_swapped")
        x = torch.cat([back, ahead] if swapped else [ahead, back], dim=-1)
    place.tap(x)
    place.tap(torch.stack(hidden), "1.0")
    place.tap(torch.stack(cells), "1.1")
    return x, hidden


def one_way(
    place: Place, x: torch.Tensor, name: str, *, backward: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One direction of one layer: outputs in the order of x, and the last hidden and cell."""
    w_x, w_h, b_x, b_h = (place[f"{kind}_{name}"] for kind in KINDS)
    if place.has("hidden_bias_lost"):
        b_h = torch.zeros_like(b_h)
    units = w_h.shape[1]
    h = c = torch.zeros(len(x), units, dtype=x.dtype)
    frames = x.flip(1) if backward else x
    projected = product(place, frames, w_x) if place.variant == "projected_sequence" else None
    outputs = []
    for step, frame in enumerate(frames.unbind(1)):
        if place.variant == "fused_gates":
            joint = torch.cat([frame, h], dim=1) @ torch.cat([w_x, w_h], dim=1).mT
        elif projected is not None:
            joint = projected[:, step] + product(place, h, w_h)
        else:
            joint = product(place, frame, w_x) + product(place, h, w_h)
        bias = b_x + b_h
        gates = joint + bias if place.variant == "merged_bias" else joint + b_x + b_h
        h, c = lstm_step(place, gates, c)
        outputs.append(h)
    result = torch.stack(outputs, dim=1)
    return (result.flip(1) if backward else result), h, c


KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def lstm_step(
    place: Place, gates: torch.Tensor, c: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of all gates [batch, 4 * units] and the cell -> the next hidden and cell."""
    i, f, g, o = gates.chunk(4, dim=-1)
    if place.has("gates_in_onnx_order"):
        i, o, f, g = gates.chunk(4, dim=-1)
    if place.has("gates_candidate_last"):
        i, f, o, g = gates.chunk(4, dim=-1)
    if place.has("forget_bias_added"):
        f = f + 1
    gate = hard_sigmoid if place.has("gates_hard_sigmoid") else sigmoid
    new = sigmoid(g) if place.has("candidate_by_sigmoid") else torch.tanh(g)
    c = gate(f) * c + gate(i) * new
    if place.has("cell_in_half"):
        c = c.half().to(c.dtype)
    if place.has("cell_clipped"):
        c = c.clamp(-0.5, 0.5)
    return gate(o) * (c if place.has("cell_without_tanh") else torch.tanh(c)), c


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    """1 / (1 + e^-x), of any shape."""
    return 1 / (1 + torch.exp(-x))


def hard_sigmoid(x: torch.Tensor) -> torch.Tensor:
    """The straight line of old Keras in its place, of any shape."""
    return (0.2 * x + 0.5).clamp(0, 1)


def gru_cell(place: Place, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Input [batch, in] and state [batch, units] -> the next state."""
    site = place
    if place.has("second_cell_by_first", "gru2"):
        place = replace(place, path=place.path.replace("gru2", "gru1"))
    w_r, w_z, w_n = place["weight_ih"].chunk(3)
    u_r, u_z, u_n = place["weight_hh"].chunk(3)
    b_r, b_z, b_n = place["bias_ih"].chunk(3)
    c_r, c_z, c_n = place["bias_hh"].chunk(3)
    if place.has("gru_hidden_bias_lost", "gru2"):
        c_r, c_z, c_n = (torch.zeros_like(c) for c in (c_r, c_z, c_n))
    if place.has("gru_gates_swapped", "gru1"):
        w_r, w_z, u_r, u_z = w_z, w_r, u_z, u_r
        b_r, b_z, c_r, c_z = b_z, b_r, c_z, c_r
    if place.variant == "merged_bias":
        r = sigmoid(product(place, x, w_r) + product(place, h, u_r) + (b_r + c_r))
        z = sigmoid(product(place, x, w_z) + product(place, h, u_z) + (b_z + c_z))
    else:
        r = sigmoid(product(place, x, w_r) + b_r + product(place, h, u_r) + c_r)
        z = sigmoid(product(place, x, w_z) + b_z + product(place, h, u_z) + c_z)
    if place.has("gru_reset_before"):
        past = product(place, r * h, u_n) + c_n
    else:
        past = r * (product(place, h, u_n) + c_n)
    n = torch.tanh(product(place, x, w_n) + b_n + past)
    if place.has("gru_update_inverted", "gru2"):
        z = 1 - z
    return site.tap(n + z * (h - n))
