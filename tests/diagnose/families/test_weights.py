"""Weights that a conversion turned, mixed up, took from elsewhere, folded or lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from parity.diagnose.engine import Explained
from parity.diagnose.families import (
    weight_function,
    weight_lost,
    weight_norm,
    weight_order,
    weight_source,
    weights,
)

Tensor = torch.Tensor
Explain = Callable[..., list[Explained]]
FAMILIES = (weights, weight_function, weight_lost, weight_norm, weight_order, weight_source)


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(12)
        self.proj = nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.tanh(self.proj(self.norm(x)))


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer() for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def _filled(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(5)
    for name, parameter in module.named_parameters():
        offset = 1.0 if "norm" in name else 0.0
        parameter.data = offset + 0.4 * torch.randn(parameter.shape, generator=generator)
    return module.requires_grad_(False)


STACK = _filled(Stack())
X = torch.randn(4, 9, 12, generator=torch.Generator().manual_seed(1))
ROWS = torch.arange(12)


def stack_port(
    x: Tensor,
    weight: Callable[[Tensor], Tensor] = lambda w: w,
    bias: float = 1.0,
    source: int = 1,
    norm_source: int = 1,
) -> Tensor:
    for i, own in enumerate(STACK.layers):
        from_ = STACK.layers[source] if i == 1 else own
        norm = STACK.layers[norm_source].norm if i == 1 else own.norm
        w, b = from_.proj.weight, own.proj.bias
        if source != 1:
            b = from_.proj.bias
        if i == 1:
            w, b = weight(w), bias * b
        h = functional.layer_norm(x, (12,), norm.weight, norm.bias)
        x = x + torch.tanh(functional.linear(h, w, b))
    return x


def int8(w: Tensor) -> Tensor:
    scale = w.abs().amax(1, keepdim=True) / 127
    return (w / scale).round() * scale


def shifted_scales(w: Tensor) -> Tensor:
    scale = w.abs().amax(1, keepdim=True)
    return w / scale * scale.roll(1, 0)


@pytest.mark.parametrize(
    ("fault", "cause", "value"),
    [
        ({}, None, None),
        ({"weight": torch.t}, "weights.transposed", None),
        ({"weight": lambda w: 0.35 * w}, "weights.scale", 0.35),
        ({"weight": torch.neg}, "weights.scale", None),
        ({"weight": int8}, "dtype.precision", None),
        ({"weight": shifted_scales}, "weights.scale", None),
        ({"weight": lambda w: w[ROWS.roll(6)]}, "weights.permuted", None),
        ({"weight": lambda w: w[:, ROWS.view(-1, 2).flip(1).flatten()]}, "weights.permuted", None),
        ({"weight": lambda w: w[ROWS.view(3, 4)[[1, 0, 2]].flatten()]}, "weights.permuted", None),
        ({"bias": 0.0}, "weights.bias", None),
        ({"source": 0}, "weights.source", None),
        ({"norm_source": 2}, "weights.source", None),
    ],
)
def test_stack(
    explain: Explain, fault: dict[str, object], cause: str | None, value: float | None
) -> None:
    found = explain(STACK, lambda x: stack_port(x, **fault), (X,))  # type: ignore[arg-type]
    chosen = [c for one in found for c in one.trial.chosen]
    assert [f"{c.group.first.family}.{c.group.first.parameter}" for c in chosen] == (
        [cause] if cause else []
    )
    if cause:
        assert chosen[0].group.first.site.path.startswith("model.layers.1")
    if value:
        assert chosen[0].value == pytest.approx(value, rel=1e-4)


LINEAR = _filled(nn.Linear(8, 10))


def test_never_loaded(explain: Explain) -> None:
    other = torch.randn(10, 8, generator=torch.Generator().manual_seed(9))
    x = torch.randn(30, 8, generator=torch.Generator().manual_seed(2))
    found = explain(LINEAR, lambda x: functional.linear(x, other, LINEAR.bias), (x,))
    assert [c.group.first.parameter for one in found for c in one.trial.chosen] == ["lost"]


class Folded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(6, 5, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


FOLDED = _filled(Folded())


@pytest.mark.parametrize(
    ("fold", "cause"),
    [
        (lambda v, g: g * v / v.norm(dim=(1, 2), keepdim=True), None),
        (lambda v, _: v / v.norm(dim=(1, 2), keepdim=True), "weights.norm"),
        (lambda v, g: g * v, "weights.norm"),
        (lambda v, g: g * v / v.norm(), "weights.norm"),
    ],
)
def test_weight_norm(
    explain: Explain, fold: Callable[[Tensor, Tensor], Tensor], cause: str | None
) -> None:
    given = dict(FOLDED.named_parameters())
    g = given["conv.parametrizations.weight.original0"]
    v = given["conv.parametrizations.weight.original1"]

    def port(x: Tensor) -> Tensor:
        return functional.conv1d(x, fold(v, g), given["conv.bias"])

    found = explain(
        FOLDED, port, (torch.randn(2, 6, 20, generator=torch.Generator().manual_seed(3)),)
    )
    names = [
        f"{c.group.first.family}.{c.group.first.parameter}" for f in found for c in f.trial.chosen
    ]
    assert names == ([cause] if cause else [])


class Snake(nn.Module):
    """Parameters kept as logarithms, and a table kept as sums and counts."""

    sums: Tensor
    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.alpha, self.beta = nn.Parameter(torch.zeros(6)), nn.Parameter(torch.zeros(6))
        generator = torch.Generator().manual_seed(8)
        self.register_buffer("sums", torch.randn(5, 6, generator=generator))
        self.register_buffer("counts", 1 + torch.rand(5, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        table = self.sums / self.counts[:, None]
        x = x + functional.embedding(torch.tensor([3, 1, 0, 4]), table)
        return x + torch.sin(x * self.alpha.exp()) ** 2 / self.beta.exp()


SNAKE = _filled(Snake())


@pytest.mark.parametrize(("logs", "divide"), [(True, True), (False, True), (True, False)])
def test_kept_in_another_form(explain: Explain, logs: bool, divide: bool) -> None:
    alpha, beta = (SNAKE.alpha.exp(), SNAKE.beta.exp()) if logs else (SNAKE.alpha, SNAKE.beta)
    table = SNAKE.sums / SNAKE.counts[:, None] if divide else SNAKE.sums

    def port(x: Tensor) -> Tensor:
        x = x + table[[3, 1, 0, 4]]
        return x + torch.sin(x * alpha) ** 2 / beta

    x = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(7))
    found = explain(SNAKE, port, (x,))
    said = [c.group.first.candidate for one in found for c in one.trial.chosen]
    expected = "all taken as stored" if divide else "the table alone"
    assert said == ([] if logs and divide else [expected])
