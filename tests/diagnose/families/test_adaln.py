"""Modulation by conditions that a port does otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests_families import causes, draw
from torch import nn
from torch.nn import functional

from parity.capture import tap
from parity.diagnose.families import (
    adaln,
    chunks,
    conditioning,
    constants,
    graph,
    residual,
    sampling,
    schedule,
)

Tensor = torch.Tensor
FAMILIES = (adaln, chunks, conditioning, constants, graph, residual, sampling, schedule)


class Modulated(nn.Module):
    """A map between a modulation and a gate, of a condition and a time."""

    def __init__(self) -> None:
        super().__init__()
        self.modulation = nn.Linear(6, 24)
        self.map = nn.Linear(8, 8)
        self.time = nn.Linear(6, 6)

    def forward(self, x: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        c = condition + self.time(time)
        shift, scale, gate = self.modulation(functional.silu(c)).chunk(3, dim=-1)
        h = x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)
        return x + gate.unsqueeze(1) * self.map(h)


def modulated() -> Modulated:
    torch.manual_seed(0)
    return Modulated().eval()


def modulated_port(fault: str) -> Callable[..., Tensor]:
    m = modulated()

    def run(x: Tensor, condition: Tensor, time: Tensor) -> Tensor:
        t = m.time(time)
        tap("model.time", t)
        sums = {"condition": t, "time": condition, "averaged": (condition + t) / 2}
        c = sums.get(fault, condition + t)
        c = c if fault == "no_silu" else functional.silu(c)
        shift, scale, gate = tap("model.modulation", m.modulation(c)).chunk(3, dim=-1)
        if fault == "order":
            shift, scale = scale, shift
        one = 0 if fault == "scale" else 1
        h = x * (one + scale[:, None])
        h = h if fault == "shift" else h + shift[:, None]
        h = tap("model.map", m.map(h))
        return x + (h if fault == "gate" else gate[:, None] * h)

    return lambda *given: run(*given).detach()


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("condition", "conditioning.combine"),
        ("time", "conditioning.combine"),
        ("averaged", "conditioning.combine"),
        ("no_silu", "adaln.activation"),
        ("order", "adaln.order"),
        ("scale", "adaln.scale"),
        ("shift", "adaln.shift"),
        ("gate", "adaln.gate"),
        ("", None),
    ],
)
def test_modulation(explain: Callable, fault: str, cause: str | None) -> None:
    given = [draw(2, 5, 8), draw(2, 6, seed=2), draw(2, 6, seed=3)]
    found = explain(modulated(), modulated_port(fault), given)
    assert causes(found) == ({cause} if cause else set())
