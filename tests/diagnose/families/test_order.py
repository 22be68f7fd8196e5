"""Orders of stages, and sources of operands, that a port has otherwise."""

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


def given() -> Tensor:
    return torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(1)) * 2 + 0.3


class Stages(nn.Module):
    """A norm, an activation and a map, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.map = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.map(functional.gelu(self.norm(x)))


def test_activation_after_the_map(explain: Callable) -> None:
    torch.manual_seed(2)
    model = Stages().eval()

    def run(x: Tensor) -> Tensor:
        tap("model.norm", model.norm(x))
        return functional.gelu(model.map(model.norm(x)))

    assert causes(explain(model, run, [given()])) == {"graph.order"}


def test_norm_after_the_activation(explain: Callable) -> None:
    torch.manual_seed(2)
    model = Stages().eval()

    def run(x: Tensor) -> Tensor:
        return model.map(model.norm(functional.gelu(x)))

    assert causes(explain(model, run, [given()])) == {"norm.position"}


class PreNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.map = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.tanh(self.map(self.norm(x)))


@pytest.mark.parametrize("dumps", [False, True])
def test_post_norm(explain: Callable, dumps: bool) -> None:
    torch.manual_seed(3)
    model = PreNorm().eval()
    model.norm.weight.data.uniform_(0.5, 1.5)

    def run(x: Tensor) -> Tensor:
        y = model.norm(x + torch.tanh(model.map(x)))
        if dumps:
            tap("model.norm", y)
        return y

    assert causes(explain(model, run, [given()])) == {"norm.position"}


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(4))
        self.head = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def test_hidden_layer(explain: Callable) -> None:
    torch.manual_seed(4)
    model = Layers().eval()

    def run(x: Tensor) -> Tensor:
        seen = []
        for index, layer in enumerate(model.layers):
            x = tap(f"model.layers.{index}", layer(x))
            seen.append(x)
        return model.head(seen[-2])

    found = explain(model, run, [given()])
    assert causes(found) == {"graph.source"}
    assert "before" in found[0].trial.chosen[0].group.first.candidate
