"""Small models, converted once a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from parity_coreml.convert import convert
from parity_coreml.package import Package, open_package
from parity_coreml.sidecar import Sidecar


class Block(nn.Module):
    """A feed-forward block that uses one module twice, one that vanishes, and a tanh GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(16)
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)
        self.drop, self.act = nn.Dropout(0.1), nn.ReLU()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = self.down(functional.gelu(self.up(self.norm(x)), approximate="tanh"))
        return self.act(x + self.drop(self.act(h))), h


class Counter(nn.Module):
    """Keeps the last four inputs; its output is their mean."""

    cache: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(8, 8)
        self.register_buffer("cache", torch.zeros(1, 4, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.cache[:, :-1] = self.cache[:, 1:].clone()
        self.cache[:, -1:] = self.proj(x)
        return self.cache.mean(1)


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """A module, its inputs, and its package."""

    module: nn.Module
    args: tuple[torch.Tensor, ...]
    path: Path
    sidecar: Sidecar

    @property
    def package(self) -> Package:
        return open_package(self.path)


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Converted]:
    """Converts a module built by `make` in a precision; the same again costs nothing."""
    made: dict[object, Converted] = {}

    def get(
        make: Callable[[], nn.Module], *shapes: tuple[int, ...], precision: str = "float32"
    ) -> Converted:
        key = (make, shapes, precision)
        if key not in made:
            torch.manual_seed(0)
            module, args = make().eval(), tuple(torch.randn(*shape) for shape in shapes)
            path = tmp_path_factory.mktemp("package") / "model.mlpackage"
            sidecar = convert(module, args, path, precision=precision)
            made[key] = Converted(module, args, path, sidecar)
        return made[key]

    return get


@pytest.fixture(scope="session")
def block(converted: Callable[..., Converted]) -> Converted:
    return converted(Block, (1, 3, 16))


@pytest.fixture(scope="session")
def half_block(converted: Callable[..., Converted]) -> Converted:
    return converted(Block, (1, 3, 16), precision="float16")


@pytest.fixture(scope="session")
def counter(converted: Callable[..., Converted]) -> Converted:
    return converted(Counter, (1, 1, 8))
