"""Recurrent layers that a port runs otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from parity.diagnose.families import recurrent

Tensor = torch.Tensor
FAMILIES = (recurrent,)


def cause(found: list) -> str:
    (one,) = found
    (chosen,) = one.trial.chosen
    return f"{chosen.group.first.family}.{chosen.group.first.parameter}"


def value(found: list) -> float:
    return found[0].trial.chosen[0].value


class First(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Tensor:
        found = self.module(*inputs)
        return found[0] if isinstance(found, tuple) else found


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return make().eval()


X = torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(1))
LSTM = seeded(lambda: nn.LSTM(5, 6, num_layers=2, batch_first=True, bidirectional=True))
GRU = seeded(lambda: nn.GRU(5, 6, batch_first=True))


def lstm(
    x: Tensor,
    order: str = "ifgo",
    forget: float = 0.0,
    hidden_bias: bool = True,
    backward_as_computed: bool = False,
) -> Tensor:
    for layer in range(2):
        sides = []
        for suffix in ("", "_reverse"):
            w, u, b, c = (
                getattr(LSTM, f"{kind}_l{layer}{suffix}")
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            h = cell = torch.zeros(len(x), 6)
            outputs = []
            for frame in (x.flip(1) if suffix else x).unbind(1):
                sums = frame @ w.mT + b + h @ u.mT + (c if hidden_bias else 0)
                gates = dict(zip(order, sums.chunk(4, -1), strict=True))
                keep = torch.sigmoid(gates["f"] + forget) * cell
                cell = keep + torch.sigmoid(gates["i"]) * torch.tanh(gates["g"])
                h = torch.sigmoid(gates["o"]) * torch.tanh(cell)
                outputs.append(h)
            y = torch.stack(outputs, 1)
            sides.append(y.flip(1) if suffix and not backward_as_computed else y)
        x = torch.cat(sides, -1)
    return x.detach()


def test_lstm(explain: Callable[..., list]) -> None:
    reference = First(LSTM)
    assert explain(reference, lstm, [X]) == []
    assert cause(explain(reference, lambda x: lstm(x, order="iofg"), [X])) == "recurrent.gates"
    assert cause(explain(reference, lambda x: lstm(x, hidden_bias=False), [X])) == "recurrent.bias"
    found = explain(reference, lambda x: lstm(x, forget=0.8), [X])
    assert (cause(found), value(found)) == ("recurrent.bias", pytest.approx(0.8, rel=1e-4))
    found = explain(reference, lambda x: lstm(x, backward_as_computed=True), [X])
    assert cause(found) == "recurrent.direction"


def gru(x: Tensor, h: Tensor, reset_first: bool = False, inverted: bool = False) -> Tensor:
    w_r, w_z, w_n = GRU.weight_ih_l0.chunk(3)
    u_r, u_z, u_n = GRU.weight_hh_l0.chunk(3)
    b_r, b_z, b_n = GRU.bias_ih_l0.chunk(3)
    c_r, c_z, c_n = GRU.bias_hh_l0.chunk(3)
    h, outputs = h[0], []
    for frame in x.unbind(1):
        r = torch.sigmoid(frame @ w_r.mT + b_r + h @ u_r.mT + c_r)
        z = torch.sigmoid(frame @ w_z.mT + b_z + h @ u_z.mT + c_z)
        past = (r * h) @ u_n.mT + c_n if reset_first else r * (h @ u_n.mT + c_n)
        n = torch.tanh(frame @ w_n.mT + b_n + past)
        h = z * n + (1 - z) * h if inverted else (1 - z) * n + z * h
        outputs.append(h)
    return torch.stack(outputs, 1).detach()


def test_gru(explain: Callable[..., list]) -> None:
    reference = First(GRU)
    state = torch.randn(1, 2, 6, generator=torch.Generator().manual_seed(2))
    given = [X, state]
    assert explain(reference, gru, given) == []
    for port in (lambda x, h: gru(x, h, reset_first=True), lambda x, h: gru(x, h, inverted=True)):
        assert cause(explain(reference, port, given)) == "recurrent.gates"
    found = explain(reference, lambda x, h: gru(x, torch.zeros_like(h)), given)
    assert cause(found) == "recurrent.state"


class ByHand(nn.Module):
    """A cell out of elementary operations."""

    def __init__(self) -> None:
        super().__init__()
        self.joint = nn.Linear(11, 24)

    def forward(self, x: Tensor) -> Tensor:
        h = cell = torch.zeros(len(x), 6)
        for frame in x.unbind(1):
            i, f, g, o = self.joint(torch.cat([frame, h], -1)).chunk(4, -1)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(cell)
        return h


def test_gates_cut_by_hand(explain: Callable[..., list]) -> None:
    reference = seeded(ByHand)

    def port(x: Tensor, order: str = "ifgo") -> Tensor:
        h = cell = torch.zeros(len(x), 6)
        for frame in x.unbind(1):
            joint = torch.cat([frame, h], -1) @ reference.joint.weight.mT + reference.joint.bias
            gates = dict(zip(order, joint.chunk(4, -1), strict=True))
            keep = torch.sigmoid(gates["f"]) * cell
            cell = keep + torch.sigmoid(gates["i"]) * torch.tanh(gates["g"])
            h = torch.sigmoid(gates["o"]) * torch.tanh(cell)
        return h.detach()

    assert explain(reference, port, [X]) == []
    assert cause(explain(reference, lambda x: port(x, "ifog"), [X])) == "recurrent.gates"
