"""Rotary positions that a port does otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from parity.diagnose.families import rope, rope_tables

Tensor = torch.Tensor
Turn = Callable[[Tensor, Tensor], Tensor]
SIZE = 16
FAMILIES = (rope, rope_tables)


def angles(count: int, theta: float = 1e4, start: int = 0, scale: float = 1.0) -> Tensor:
    rates = theta ** (-torch.arange(0, SIZE, 2, dtype=torch.float64) / SIZE)
    positions = torch.arange(start, start + count, dtype=torch.float64) * scale
    return (positions[:, None] * rates).float()


def halves(x: Tensor, a: Tensor) -> Tensor:
    n = a.shape[-1]
    u, v, rest = x[..., :n], x[..., n : 2 * n], x[..., 2 * n :]
    return torch.cat([u * a.cos() - v * a.sin(), v * a.cos() + u * a.sin(), rest], -1)


def interleaved(x: Tensor, a: Tensor) -> Tensor:
    u, v = x[..., ::2], x[..., 1::2]
    return torch.stack([u * a.cos() - v * a.sin(), v * a.cos() + u * a.sin()], -1).flatten(-2)


class RotateHalf(nn.Module):
    """As Llama has it: cosines and sines of doubled angles."""

    def forward(self, x: Tensor) -> Tensor:
        rates = 1.0 / (1e4 ** (torch.arange(0, SIZE, 2).float() / SIZE))
        a = torch.outer(torch.arange(x.shape[2]).float(), rates)
        emb = torch.cat((a, a), -1)
        u, v = x.chunk(2, -1)
        return x * emb.cos() + torch.cat((-v, u), -1) * emb.sin()


class Complex(nn.Module):
    """As GPT-J and Llama's first version have it: complex numbers of a table kept beforehand."""

    def __init__(self) -> None:
        super().__init__()
        a = angles(32)
        self.register_buffer("table", torch.polar(torch.ones_like(a), a))

    def forward(self, x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * self.table[: x.shape[2]]).flatten(3).type_as(x)


class Stacked(nn.Module):
    """Pairs taken by stride, positions beside heads."""

    def forward(self, x: Tensor) -> Tensor:
        ds = torch.arange(SIZE // 2).float()
        a = torch.exp(ds * (-9.210340371976184 * 2 / SIZE)) * torch.arange(x.shape[1]).view(
            -1, 1, 1
        )
        x = x.view(*x.shape[:-1], SIZE // 2, 2)
        u, v = x[..., 0], x[..., 1]
        y = torch.stack([u * a.cos() - v * a.sin(), u * a.sin() + v * a.cos()], -1)
        return y.view(*y.shape[:-2], SIZE)


def data(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


def cause(found: list) -> str:
    (one,) = found
    (chosen,) = one.trial.chosen
    return f"{chosen.group.first.family}.{chosen.group.first.parameter}"


def value(found: list) -> float:
    chosen = found[0].trial.chosen[0]
    return chosen.value if chosen.value is not None else chosen.group.first.value


X = data(2, 3, 12, SIZE)  # heads before positions


@pytest.mark.parametrize(
    ("reference", "own", "other"),
    [(RotateHalf(), halves, interleaved), (Complex(), interleaved, halves)],
)
def test_what_is_turned_and_how(
    explain: Callable[..., list], reference: nn.Module, own: Turn, other: Turn
) -> None:
    a = angles(12)
    assert explain(reference, lambda x: own(x, a), [X]) == []
    assert cause(explain(reference, lambda x: other(x, a), [X])) == "rope.layout"
    assert cause(explain(reference, lambda x: own(x, -a), [X])) == "rope.sign"
    assert cause(explain(reference, lambda x: x.clone(), [X])) == "rope.applied"
    found = explain(reference, lambda x: own(x, angles(12, theta=5e5)), [X])
    assert cause(found) == "rope.theta"
    assert value(found) == pytest.approx(5e5, rel=1e-3)
    found = explain(reference, lambda x: own(x, angles(12, start=3)), [X])
    assert cause(found) == "rope.offset"
    assert value(found) == 3
    found = explain(reference, lambda x: own(x, angles(12, scale=0.4)), [X])
    assert cause(found) == "rope.scaling"
    assert value(found) == pytest.approx(0.4, rel=1e-4)
    along_heads = a[:3][None, :, None]
    assert cause(explain(reference, lambda x: own(x, along_heads), [X])) == "rope.axis"


def test_positions_beside_heads(explain: Callable[..., list]) -> None:
    x = data(1, 9, 4, SIZE)
    a = angles(9)[:, None]
    assert explain(Stacked(), lambda x: interleaved(x, a), [x]) == []
    assert cause(explain(Stacked(), lambda x: halves(x, a), [x])) == "rope.layout"
    by_heads = angles(4)
    assert cause(explain(Stacked(), lambda x: interleaved(x, by_heads), [x])) == "rope.axis"


def test_a_part_of_the_channels(explain: Callable[..., list]) -> None:
    a = angles(12)
    found = explain(RotateHalf(), lambda x: halves(x, a[:, :4]), [X])
    assert cause(found) == "rope.fraction"
    assert value(found) == 0.5


def test_angles_in_half_precision(explain: Callable[..., list]) -> None:
    found = explain(RotateHalf(), lambda x: halves(x, angles(12).bfloat16().float()), [X])
    assert cause(found) == "dtype.precision"


def test_odd_tensors_are_left_alone(explain: Callable[..., list]) -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x[..., :0], x * float("nan"), x.flip(-1)], -1).add(0.0)

    found = explain(Odd(), lambda x: torch.cat([x * float("nan"), x.flip(-1)], -1), [X])
    assert found == []
