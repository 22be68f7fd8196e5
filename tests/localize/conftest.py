"""A small streaming model as reference, and captures of ports of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import parity
from parity.localize import Reference
from parity.tensors import Role

Tensor = torch.Tensor


class Step(nn.Module):
    """A projection, a cache written in place, a sum over what was seen, a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.up = nn.Linear(8, 8)
        self.down = nn.Linear(8, 8)

    def forward(self, x: Tensor, cache: Tensor, position: int) -> Tensor:
        h = functional.gelu(self.up(self.norm(x)), approximate="tanh")
        cache[position] = h[0]
        seen = cache[: position + 1].mean(0, keepdim=True)
        return x + self.down(seen)


class Model(nn.Module):
    """Five steps over a cache; what each gives is what the next reads."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList([Step(), Step()])
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        caches = [torch.zeros(5, 8) for _ in self.steps]
        outputs = []
        for position in range(5):
            for step, cache in zip(self.steps, caches, strict=True):
                x = step(x, cache, position)
            outputs.append(self.head(x))
            x = x * 0.5
            x += torch.randn(1, 8) * 0.1
        return torch.cat(outputs)


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    return Model().eval()


@pytest.fixture
def inputs() -> Tensor:
    return torch.randn(1, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def reference(model: Model, inputs: Tensor) -> Reference:
    return Reference.of_module(model, inputs, seed=3)


Port = Callable[[Mapping[str, Tensor], Tensor, list[Tensor], Callable[[str, Tensor], Tensor]], Any]


@pytest.fixture
def captured(
    tmp_path: Path, model: Model, inputs: Tensor, reference: Reference
) -> Callable[[Port], Path]:
    """Runs a port on the reference's noise and records what it taps."""

    def run(port: Port) -> Path:
        path = tmp_path / "port.h5"
        noise = [torch.from_numpy(draw.values.copy()) for draw in reference.capture.noise]

        def tap(name: str, value: Tensor) -> Tensor:
            return parity.tap(name, value, role=Role.OUTPUT)

        with torch.no_grad(), parity.record(path, noise=False):
            port(model.state_dict(), inputs, noise, tap)
        return path

    return run


def faithful(
    weights: Mapping[str, Tensor],
    x: Tensor,
    noise: list[Tensor],
    tap: Callable[[str, Tensor], Tensor],
    *,
    faults: frozenset[str] = frozenset(),
) -> None:
    """The model written again, with two faults as switches."""

    def linear(name: str, v: Tensor) -> Tensor:
        return tap(name, v @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])

    seen: list[list[Tensor]] = [[], []]
    outputs = []
    for position in range(5):
        for index in range(2):
            name = f"steps.{index}"
            centred = x - x.mean(-1, keepdim=True)
            h = centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + 1e-5)
            h = h * weights[f"{name}.norm.weight"] + weights[f"{name}.norm.bias"]
            h = linear(f"{name}.up", tap(f"{name}.norm", h))
            exact = "gelu" in faults and index == 1
            h = functional.gelu(h, approximate="none" if exact else "tanh")
            seen[index].append(h)
            rows = seen[index][1:] if "first" in faults and position else seen[index]
            update = linear(f"{name}.down", torch.cat(rows).mean(0, keepdim=True))
            x = tap(name, x + update)
        outputs.append(linear("head", x))
        x = x * 0.5 + noise[position] * 0.1
    tap("(root)", torch.cat(outputs))
