"""Residual connections, orders of stages and sources of operands that a port does otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests_families import causes
from torch import nn
from torch.nn import functional

from parity.capture import tap
from parity.diagnose.families import chunks, constants, graph, order, residual, sources

Tensor = torch.Tensor
FAMILIES = (chunks, constants, graph, order, residual, sources)


class Block(nn.Module):
    """A block with a norm before its gated MLP, a layer scale and a factor."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.gate = nn.Linear(8, 8)
        self.up = nn.Linear(8, 8)
        self.down = nn.Linear(8, 8)
        self.gamma = nn.Parameter(torch.linspace(0.2, 0.9, 8))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        h = self.down(functional.silu(self.gate(h)) * self.up(h))
        return x + self.gamma * h * 0.6


def block() -> Block:
    torch.manual_seed(0)
    return Block().eval()


def given() -> Tensor:
    return torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(1)) * 2 + 0.3


def port(fault: str, dumps: bool = True) -> Callable[[Tensor], Tensor]:
    m = block()

    def note(name: str, value: Tensor) -> Tensor:
        return tap(f"model.{name}" if name else "model", value) if dumps else value

    def run(x: Tensor) -> Tensor:
        with torch.no_grad():
            read = x + 0.0
            h = read if fault == "unnormed" else m.norm(read)
            if fault != "post_norm":
                note("norm", m.norm(read))
            gate, up = m.gate(h), m.up(h)
            note("gate", gate), note("up", up)
            if fault == "exchanged":
                h = functional.silu(up) * gate
            elif fault == "silu_after":
                h = functional.silu(gate * up)
            elif fault == "added":
                h = functional.silu(gate) + up
            elif fault == "not_gated":
                h = up
            else:
                h = functional.silu(gate) * up
            h = note("down", m.down(h))
            scaled = h if fault == "gamma" else m.gamma * h
            factor = {"factor": 1.7}.get(fault, 0.6)
            scaled = scaled * factor
            skip = {"dropped": 0 * x, "twice": 2 * x, "normed": m.norm(x)}.get(fault, x)
            y = skip + scaled
            if fault == "root":
                y = y / 2**0.5
            return note("", y)

    return run


CASES = [
    ("dropped", "residual.dropped", None),
    ("twice", "residual.added", None),
    ("normed", "residual.source", None),
    ("root", "residual.scale", None),
    ("factor", "residual.scale", 1.7),
    ("gamma", "residual.scale", None),
    ("exchanged", "graph.chunks", None),
    ("added", "graph.function", None),
    ("not_gated", "graph.omitted", None),
    ("unnormed", "norm.omitted", None),
]


@pytest.mark.parametrize(("fault", "cause", "value"), CASES)
def test_block(explain: Callable, fault: str, cause: str, value: float | None) -> None:
    found = explain(block(), port(fault), [given()])
    assert causes(found) == {cause}
    if value is not None:
        assert found[0].trial.chosen[0].value == pytest.approx(value, rel=1e-4)


def test_clean(explain: Callable) -> None:
    assert explain(block(), port(""), [given()]) == []


@pytest.mark.parametrize("fault", ["dropped", "twice", "factor", "gamma", "exchanged", "not_gated"])
def test_with_the_output_alone(explain: Callable, fault: str) -> None:
    cause = next(c for name, c, _ in CASES if name == fault)
    assert causes(explain(block(), port(fault, dumps=False), [given()])) == {cause}
