"""Normalisations that a port does otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from parity.diagnose.families import norm, norm_affine

Tensor = torch.Tensor
FAMILIES = (norm, norm_affine)


def cause(found: list) -> str:
    first = found[0].trial.chosen[0].group.first
    return f"{first.family}.{first.parameter}"


def value(found: list) -> float:
    return found[0].trial.chosen[0].value


def data(*shape: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return scale * (torch.randn(*shape, generator=generator) + 0.7)


def spread(module: nn.Module) -> nn.Module:
    """Parameters that are neither zero nor one."""
    generator = torch.Generator().manual_seed(5)
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            tensor.data = 0.3 + torch.rand(tensor.shape, generator=generator)
    return module.eval()


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(12)
        self.other = nn.LayerNorm(12)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.norm(x)) + 0.1 * self.other(x)


class HandRms(nn.Module):
    """Root mean square with 1 + weight, spelt out."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(12))

    def forward(self, x: Tensor) -> Tensor:
        h = x.float()
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6)
        return h * (1 + self.weight)


class HandLayer(nn.Module):
    """Channels first, spelt out."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(8))
        self.bias = nn.Parameter(torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        u = x.mean(1, keepdim=True)
        s = (x - u).pow(2).mean(1, keepdim=True)
        y = (x - u) / torch.sqrt(s + 1e-6)
        return self.weight[:, None, None] * y + self.bias[:, None, None]


class Weighted(nn.Module):
    """Multiplied before it is divided."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(12))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight * torch.rsqrt(x.var(-1, keepdim=True) + 1e-5)


class HandDeviation(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-3)


class HandGroup(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        shape = x.shape
        g = x.reshape(shape[0], 4, -1)
        g = (g - g.mean(-1, keepdim=True)) / (g.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        return g.view(shape) * self.weight.view(1, -1, 1, 1)


class Length(nn.Module):
    """Unit length times the root of the width."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(12))

    def forward(self, x: Tensor) -> Tensor:
        return functional.normalize(x, dim=-1) * 12**0.5 * self.gamma


class HandBatch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("var", torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        shift = x - self.mean.view(1, -1, 1, 1)
        return shift / torch.sqrt(self.var.view(1, -1, 1, 1) + 1e-3)


LAYER, RMS, FIRST, WEIGHTED = (
    spread(Layer()),
    spread(HandRms()),
    spread(HandLayer()),
    spread(Weighted()),
)
GROUP = spread(nn.Sequential(nn.GroupNorm(4, 8)))
BATCH = spread(nn.Sequential(nn.BatchNorm2d(8)))
HAND_GROUP, LENGTH, HAND_BATCH = spread(HandGroup()), spread(Length()), spread(HandBatch())
DEVIATION, SQUASHED = HandDeviation(), nn.Sequential(RMS, nn.Tanh())


def layer(change: Callable[[Tensor, nn.LayerNorm], Tensor]) -> Callable[[Tensor], Tensor]:
    def port(x: Tensor) -> Tensor:
        other = LAYER.other
        b = functional.layer_norm(x, (12,), other.weight, other.bias)
        return torch.tanh(change(x, LAYER.norm)) + 0.1 * b

    return port


def _normal(x: Tensor, n: nn.LayerNorm) -> Tensor:
    return functional.layer_norm(x, (12,), n.weight, n.bias)


def _rms(x: Tensor, eps: float = 1e-5) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)


def _half(x: Tensor, n: nn.LayerNorm) -> Tensor:
    return _normal(x.half().float(), n)


def _half_rms(x: Tensor, weight: Tensor) -> Tensor:
    mean = x.float().square().mean(-1, keepdim=True)
    return x / (mean + 1e-6).half().sqrt() * weight


def _squashed_half(x: Tensor) -> Tensor:
    return torch.tanh(_half_rms(x.half(), (1 + RMS.weight).half()).float())


def _first(x: Tensor, axis: int = 1) -> Tensor:
    y = (x - x.mean(axis, keepdim=True)) / (x.var(axis, keepdim=True, correction=0) + 1e-6).sqrt()
    return y * FIRST.weight.view(8, 1, 1) + FIRST.bias.view(8, 1, 1)


def _hand_group(x: Tensor, groups: int) -> Tensor:
    return functional.group_norm(x, groups, HAND_GROUP.weight, None)


def _batch(x: Tensor, mean: Tensor, var: Tensor, *, training: bool = False) -> Tensor:
    n = BATCH[0]
    return functional.batch_norm(x, mean.clone(), var.clone(), n.weight, n.bias, training)


ROWS, MAPS = data(2, 5, 12, scale=0.05), data(2, 8, 6, 4, scale=0.1)

CASES = {
    "eps": (LAYER, layer(lambda x, n: functional.layer_norm(x, (12,), n.weight, n.bias, 3e-4)),
            ROWS, "norm.eps", 3e-4),
    "rms": (LAYER, layer(lambda x, n: _rms(x) * n.weight + n.bias), ROWS, "norm.kind", None),
    "bias": (LAYER, layer(lambda x, n: functional.layer_norm(x, (12,), n.weight)),
             ROWS, "norm.bias", None),
    "weight": (LAYER, layer(lambda x, n: functional.layer_norm(x, (12,), None, n.bias)),
               ROWS, "norm.weight", None),
    "sibling": (LAYER, layer(lambda x, _: _normal(x, LAYER.other)), ROWS, "norm.weight", None),
    "omitted": (LAYER, layer(lambda x, _: x), ROWS, "norm.omitted", None),
    "half": (LAYER, layer(_half), ROWS, "norm.precision", None),
    "half rms": (SQUASHED, _squashed_half, data(2, 5, 12), "norm.precision", None),
    "rms eps": (RMS, lambda x: _rms(x, 1e-4) * (1 + RMS.weight), ROWS, "norm.eps", 1e-4),
    "offset": (RMS, lambda x: _rms(x, 1e-6) * RMS.weight, ROWS, "norm.weight_offset", None),
    "layer": (RMS, lambda x: functional.layer_norm(x, (12,), 1 + RMS.weight, eps=1e-6),
              ROWS, "norm.kind", None),
    "axis": (FIRST, lambda x: _first(x, 2), MAPS, "norm.axis", None),
    "weighted": (WEIGHTED, lambda x: x * WEIGHTED.weight / (
        x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt(), ROWS, "norm.variance", None),
    "biased": (DEVIATION, lambda x: (x - x.mean(-1, keepdim=True))
               / (x.std(-1, correction=0, keepdim=True) + 1e-3), ROWS, "norm.variance", None),
    "groups": (GROUP, lambda x: functional.group_norm(x, 2, GROUP[0].weight, GROUP[0].bias),
               MAPS, "norm.groups", 2),
    "hand groups": (HAND_GROUP, lambda x: _hand_group(x, 2), MAPS, "norm.groups", 2),
    "length": (LENGTH, lambda x: functional.normalize(x, dim=-1) * LENGTH.gamma,
               ROWS, "norm.kind", None),
    "batch": (BATCH, lambda x: _batch(
        x, BATCH[0].running_mean, BATCH[0].running_var, training=True),
              MAPS, "norm.statistics", None),
    "swapped": (BATCH, lambda x: _batch(x, BATCH[0].running_var, BATCH[0].running_mean),
                MAPS, "norm.statistics", None),
    "hand batch": (HAND_BATCH, lambda x: functional.batch_norm(
        x, HAND_BATCH.mean, HAND_BATCH.var, eps=1e-5), MAPS, "norm.eps", 1e-5),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_names_what_the_port_does(name: str, explain: Callable[..., list]) -> None:
    module, port, inputs, expected, number = CASES[name]

    found = explain(module, port, (inputs,))

    assert len(found) == 1
    assert cause(found) == expected
    if number is not None:
        assert value(found) == pytest.approx(number, rel=0.03)


CLEAN = [
    (LAYER, layer(_normal), ROWS),
    (RMS, lambda x: _rms(x, 1e-6) * (1 + RMS.weight), ROWS),
    (FIRST, _first, MAPS),
    (HAND_GROUP, lambda x: _hand_group(x, 4), MAPS),
]


@pytest.mark.parametrize("case", range(len(CLEAN)))
def test_finds_nothing_in_a_clean_port(case: int, explain: Callable[..., list]) -> None:
    module, port, inputs = CLEAN[case]

    assert not explain(module, port, (inputs,))


def test_two_changes_of_one_norm_add_up(explain: Callable[..., list]) -> None:
    port = layer(lambda x, n: functional.layer_norm(x, (12,), n.weight, eps=1e-3))

    (found,) = explain(LAYER, port, (ROWS,))

    names = {f"{c.group.first.family}.{c.group.first.parameter}" for c in found.trial.chosen}
    assert names == {"norm.eps", "norm.bias"}


def test_a_norm_of_odd_tensors_raises_nothing(diagnose: Callable[..., object]) -> None:
    for inputs in (torch.zeros(0, 12), torch.full((2, 12), float("nan")), data(1, 12)):
        diagnose(LAYER, layer(lambda x, _: x), (inputs,))
