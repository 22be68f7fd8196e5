"""Families of filters, layouts and weights never raise, whatever a stretch is made of."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import pytest
import torch
from torch import nn
from torch.nn import functional

from parity.diagnose.engine import Engine
from parity.diagnose.view import View

Tensor = torch.Tensor
FAMILIES = (
    "audio", "audio_log", "conv", "conv_transposed", "history", "layout", "padding", "pool_border",
    "preprocess", "resize", "samples", "streaming", "trim", "weight_function", "weight_lost",
    "weight_norm", "weight_order", "weight_source", "weights", "loudness",
)  # fmt: skip


class Odd(nn.Module):
    """A little of everything: empty, integer, complex, scalar and NaN, in place and in lists."""

    state: Tensor
    empty: Tensor
    scalar: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 3, 3, padding="same", padding_mode="reflect")
        self.same = nn.Conv1d(3, 3, 3, padding="same", dilation=2)
        self.table = nn.Embedding(5, 3)
        self.scale = nn.Parameter(torch.tensor(float("nan")))
        self.register_buffer("state", torch.zeros(2, 3, 4))
        self.register_buffer("empty", torch.zeros(0, 3))
        self.register_buffer("scalar", torch.tensor(2.0))
        self.register_buffer("counts", torch.arange(12))

    def forward(self, x: Tensor) -> Tensor:
        made = []
        for part in x.split(8, dim=-1):
            y = self.same(self.conv(part)) + self.table(torch.tensor([0, 1, 2]))[None, :, :1]
            y = torch.cat([self.state, y], dim=-1)
            self.state.copy_(y[..., -4:])
            y[..., :2] += 1.0
            y = functional.pad(y, (1, 0), value=3.0) * self.scalar
            spectrum = torch.fft.rfft(y[..., :8]).abs() ** 2
            y = y.sum(-1, keepdim=True) * 0 + torch.log(spectrum + 1e-6)
            made.append(y.permute(1, 2, 0).reshape(3, -1).t().contiguous().view(2, -1, 3))
        y = torch.cat(made, dim=1)
        y = functional.interpolate(y[:, None], scale_factor=1.0).squeeze(1)
        y = functional.avg_pool1d(y, 2, 1) if y.shape[-1] > 1 else y
        nothing = functional.pad(y[:, :0], (0, 1)) @ self.empty.new_zeros(y.shape[-1] + 1, 2)
        return y + nothing.sum() + 0 * (y * self.scale).nan_to_num()


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.odd = Odd()

    def forward(self, x: Tensor) -> Tensor:
        self.odd.state.zero_()
        return self.odd(x) + self.odd(x)


@pytest.mark.parametrize("scale", [1.0, float("nan"), float("inf")])
def test_never_raises(
    diagnose: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch, scale: float
) -> None:
    seen: dict[str, int] = {}

    def count(view: View) -> tuple[()]:
        for name in FAMILIES:
            some = list(import_module(f"parity.diagnose.families.{name}").propose(view))
            seen[name] = seen.get(name, 0) + len(some)
        return ()

    monkeypatch.setattr(import_module("parity.diagnose.engine"), "propose_all", count)
    module = Twice().requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    x = scale * torch.randn(2, 3, 16, generator=generator)
    diagnose(module, lambda _: torch.randn(2, 10, 2, generator=generator), (x,))
    assert all(seen[name] for name in ("conv", "padding", "streaming", "layout", "weights"))
