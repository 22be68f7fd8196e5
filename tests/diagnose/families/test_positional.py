"""Positions and times that a port embeds otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from parity.diagnose.families import positional, relative

Tensor = torch.Tensor
FAMILIES = (positional, relative)


def angles(t: Tensor, n: int, theta: float = 1e4, *, shift: int = 0, scale: float = 1.0) -> Tensor:
    steps = torch.arange(n, dtype=torch.float32)
    return scale * t[..., None] * torch.exp(-math.log(theta) * steps / (n - shift))


class Times(nn.Module):
    """Cosines, then sines, of times."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(16, 10)

    def forward(self, t: Tensor) -> Tensor:
        a = angles(t, 8)
        return torch.tanh(self.out(torch.cat([a.cos(), a.sin()], dim=-1)))


class Turns(nn.Module):
    """Sines and cosines in turns, written into zeros and added."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        a = angles(torch.arange(x.shape[1]).float(), 8)
        table = torch.zeros(x.shape[1], 16)
        table[:, 0::2] = torch.sin(a)
        table[:, 1::2] = torch.cos(a)
        return self.out(x + table)


class Table(nn.Module):
    """The same from a buffer."""

    def __init__(self) -> None:
        super().__init__()
        a = angles(torch.arange(20).float(), 8, shift=1)
        self.register_buffer("table", torch.stack((a.sin(), a.cos()), -1).flatten(1)[None])

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x + self.table[:, : x.shape[1]])


class Learned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 16)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x + self.table(torch.arange(x.shape[1]) + 2))


class Slopes(nn.Module):
    def forward(self, scores: Tensor) -> Tensor:
        n, h = scores.shape[-1], scores.shape[1]
        slopes = torch.tensor([2 ** (-8 * (i + 1) / h) for i in range(h)])
        distance = torch.arange(n)[None, :] - torch.arange(n)[:, None]
        return (scores + slopes[:, None, None] * distance).softmax(-1)


class Buckets(nn.Module):
    def __init__(self, most: int = 128) -> None:
        super().__init__()
        self.most = most
        self.table = nn.Embedding(16, 4)

    def forward(self, scores: Tensor) -> Tensor:
        n = scores.shape[-1]
        distance = torch.arange(n)[None, :] - torch.arange(n)[:, None]
        return scores + self.table(self.bucket(distance)).permute(2, 0, 1)[None]

    def bucket(self, distance: Tensor, sign: int = 1, most: int | None = None) -> Tensor:
        d = sign * distance
        start, n = (d > 0).long() * 8, d.abs()
        far = torch.log(n.float().clamp_min(1) / 4) / math.log((most or self.most) / 4) * 4
        return start + torch.where(n < 4, n, (4 + far.long()).clamp_max(7))


TIMES, TURNS, TABLE, LEARNED = Times(), Turns(), Table(), Learned()
SLOPES, BUCKETS = Slopes(), Buckets()
T = torch.tensor([3.0, 41.0, 256.0, 777.0])
X = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(1))
SCORES = torch.randn(1, 4, 24, 24, generator=torch.Generator().manual_seed(1))


def times(join: Callable[[Tensor], Tensor], **how: float) -> Callable[[Tensor], Tensor]:
    return lambda t: torch.tanh(TIMES.out(join(angles(t, 8, **how))))


def plain(a: Tensor) -> Tensor:
    return torch.cat([a.cos(), a.sin()], -1)


def turns(a: Tensor) -> Tensor:
    return torch.stack([a.sin(), a.cos()], -1).flatten(-2)


def positions(x: Tensor, first: int = 0) -> Tensor:
    return torch.arange(first, first + x.shape[1]).float()


def biased(scores: Tensor, slopes: Tensor) -> Tensor:
    n = scores.shape[-1]
    distance = torch.arange(n)[None, :] - torch.arange(n)[:, None]
    return (scores + slopes[:, None, None] * distance).softmax(-1)


def bucketed(scores: Tensor, sign: int = 1, most: int | None = None) -> Tensor:
    n = scores.shape[-1]
    distance = torch.arange(n)[None, :] - torch.arange(n)[:, None]
    rows = functional.embedding(BUCKETS.bucket(distance, sign, most), BUCKETS.table.weight)
    return scores + rows.permute(2, 0, 1)


HEADS = torch.arange(4.0)
CASES = {
    "order": (TIMES, times(lambda a: torch.cat([a.sin(), a.cos()], -1)), T, "order", None),
    "layout": (TIMES, times(lambda a: torch.stack([a.cos(), a.sin()], -1).flatten(-2)),
               T, "layout", None),
    "theta": (TIMES, times(plain, theta=2000.0), T, "theta", 2000),
    "shift": (TIMES, times(plain, shift=1), T, "shift", None),
    "scale": (TIMES, times(plain, scale=0.5), T, "time_scale", 0.5),
    "written order": (TURNS, lambda x: TURNS.out(x + torch.stack(
        [(a := angles(positions(x), 8)).cos(), a.sin()], -1).flatten(-2)), X, "order", None),
    "written layout": (TURNS, lambda x: TURNS.out(x + torch.cat(
        [(a := angles(positions(x), 8)).sin(), a.cos()], -1)), X, "layout", None),
    "written offset": (TURNS, lambda x: TURNS.out(x + turns(angles(positions(x, 1), 8))),
                       X, "offset", 1),
    "not added": (TURNS, TURNS.out, X, "applied", None),
    "table theta": (TABLE, lambda x: torch.tanh(
        x + turns(angles(positions(x), 8, 500.0, shift=1))), X, "theta", 500),
    "table shift": (TABLE, lambda x: torch.tanh(x + turns(angles(positions(x), 8))),
                    X, "shift", None),
    "table offset": (TABLE, lambda x: torch.tanh(x + TABLE.table[:, 1 : 1 + x.shape[1]]),
                     X, "offset", 1),
    "learned offset": (LEARNED, lambda x: torch.tanh(x + LEARNED.table.weight[: x.shape[1]]),
                       X, "offset", -2),
    "slopes": (SLOPES, lambda s: biased(s, 2.0 ** (-8 * HEADS / 4)), SCORES, "slopes", None),
    "bucket sign": (BUCKETS, lambda s: bucketed(s, -1), SCORES, "buckets", None),
    "bucket reach": (BUCKETS, lambda s: bucketed(s, most=64), SCORES, "buckets", 64),
    "clean times": (TIMES, times(plain), T, "", None),
    "clean turns": (TURNS, lambda x: TURNS.out(x + turns(angles(positions(x), 8))), X, "", None),
    "clean slopes": (SLOPES, lambda s: biased(s, 2.0 ** (-8 * (HEADS + 1) / 4)), SCORES, "", None),
    "clean buckets": (BUCKETS, bucketed, SCORES, "", None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_names_what_differs(name: str, explain: Callable[..., list]) -> None:
    module, port, inputs, expected, number = CASES[name]

    found = explain(module, port, (inputs,))

    chosen = [one.trial.chosen[0] for one in found]
    names = [f"{c.group.first.family}.{c.group.first.parameter}" for c in chosen]
    assert names == ([f"positional.{expected}"] if expected else [])
    if number is not None:
        assert chosen[0].value == pytest.approx(number, rel=1e-3)


def test_odd_tensors_raise_nothing(diagnose: Callable[..., object]) -> None:
    for t in (torch.zeros(0), torch.tensor([0.0]), torch.tensor([float("nan")])):
        diagnose(TIMES, times(plain, scale=2.0), (t,))
