"""Convolutions, paddings, state between calls, in ports written as they are elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests_families import causes_in_order
from torch import nn
from torch.nn import functional

from parity.diagnose.engine import Explained
from parity.diagnose.families import (
    conv,
    conv_transposed,
    history,
    padding,
    pool_border,
    streaming,
    trim,
    weight_norm,
    weights,
)

Tensor = torch.Tensor
Explain = Callable[..., list[Explained]]
FAMILIES = (
    conv,
    conv_transposed,
    history,
    padding,
    pool_border,
    streaming,
    trim,
    weight_norm,
    weights,
)


def _filled(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(5)
    for parameter in module.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator)
    return module.requires_grad_(False)


CONV = _filled(nn.Conv1d(4, 6, 5, padding=4, dilation=2, groups=2))
DOWN = _filled(nn.Conv2d(3, 4, 3, stride=2, padding=1))
UP = _filled(nn.ConvTranspose1d(4, 4, 6, stride=2, padding=2))
X = torch.randn(2, 4, 40, generator=torch.Generator().manual_seed(1))
IMAGE = torch.randn(2, 3, 12, 16, generator=torch.Generator().manual_seed(2))


def conv_port(
    x: Tensor, *, bias: bool = True, flip: bool = False, pads: tuple[int, int] = (4, 4),
    dilation: int = 2, mode: str = "constant", deal: bool = False,
) -> Tensor:  # fmt: skip
    weight = CONV.weight.flip(-1) if flip else CONV.weight
    if deal:
        x = x.reshape(2, 2, 2, 40).transpose(1, 2).reshape(2, 4, 40)
    x = functional.pad(x, pads, mode=mode)
    return functional.conv1d(x, weight, CONV.bias if bias else None, dilation=dilation, groups=2)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({}, None),
        ({"bias": False}, "conv.bias"),
        ({"flip": True}, "conv.kernel"),
        ({"pads": (8, 0)}, "conv.alignment"),
        ({"pads": (5, 3)}, "conv.alignment"),
        ({"dilation": 1, "pads": (2, 2)}, "conv.dilation"),
        ({"mode": "reflect"}, "padding.mode"),
        ({"mode": "replicate"}, "padding.mode"),
        ({"deal": True}, "conv.groups"),
    ],
)
def test_convolution(explain: Explain, fault: dict[str, object], cause: str | None) -> None:
    found = explain(CONV, lambda x: conv_port(x, **fault), (X,))  # type: ignore[arg-type]
    assert causes_in_order(found) == ([cause] if cause else [])


def test_two_faults_of_one_operation(explain: Explain) -> None:
    found = explain(CONV, lambda x: conv_port(x, bias=False, flip=True), (X,))
    assert sorted(causes_in_order(found)) == ["conv.bias", "conv.kernel"]


@pytest.mark.parametrize(
    ("amounts", "cause"), [((1, 1, 1, 1), None), ((0, 2, 0, 2), "conv.alignment")]
)
def test_strided(explain: Explain, amounts: tuple[int, ...], cause: str | None) -> None:
    def port(x: Tensor) -> Tensor:
        return functional.conv2d(functional.pad(x, amounts), DOWN.weight, DOWN.bias, stride=2)

    assert causes_in_order(explain(DOWN, port, (IMAGE,))) == ([cause] if cause else [])


@pytest.mark.parametrize(
    ("start", "flip", "cause"),
    [(2, False, None), (0, False, "conv.alignment"), (4, False, "conv.alignment"),
     (3, False, "conv.alignment"), (2, True, "conv.kernel")],
)  # fmt: skip
def test_transposed(explain: Explain, start: int, flip: bool, cause: str | None) -> None:
    def port(x: Tensor) -> Tensor:
        weight = UP.weight.flip(-1) if flip else UP.weight
        return functional.conv_transpose1d(x, weight, UP.bias, 2)[..., start : start + 80]

    assert causes_in_order(explain(UP, port, (X,))) == ([cause] if cause else [])


class Causal(nn.Module):
    """Padding by joining zeros, as ported code often writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 4, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(torch.cat([torch.zeros(x.shape[0], 4, 1), x], dim=-1))


def test_padding_by_hand(explain: Explain) -> None:
    module = _filled(Causal())

    def port(x: Tensor) -> Tensor:
        return module.conv(functional.pad(x, (1, 0), mode="replicate"))  # type: ignore[operator,no-any-return]

    assert causes_in_order(explain(module, port, (X,))) == ["padding.mode"]


class Pool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)


def test_pooling(explain: Explain) -> None:
    counted = explain(Pool(), lambda x: functional.avg_pool2d(x, 3, 2, 1), (IMAGE,))
    assert causes_in_order(counted) == ["padding.amount"]
    largest = explain(Pool(), lambda x: functional.max_pool2d(x, 3, 2, 1), (IMAGE,))
    assert causes_in_order(largest) == ["conv.pool"]


class Step(nn.Module):
    """One frame: a causal convolution, then a transposed one with overlap."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv1d(4, 4, 4, stride=2)
        self.up = nn.ConvTranspose1d(4, 4, 4, stride=2)
        self.past: Tensor | None = None
        self.tail: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        past = torch.zeros(len(x), 4, 2) if self.past is None else self.past
        x = torch.cat([past, x], dim=-1)
        self.past = x[..., -2:]
        y = self.up(torch.tanh(self.down(x)))
        tail = torch.zeros(len(x), 4, 2) if self.tail is None else self.tail
        y = torch.cat([y[..., :2] + tail, y[..., 2:]], dim=-1)
        self.tail = y[..., -2:] - self.up.bias[:, None]  # type: ignore[operator]
        return y[..., :-2]


class Stream(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.step = Step()

    def forward(self, x: Tensor) -> Tensor:
        self.step.past = self.step.tail = None
        return torch.cat([self.step(frame) for frame in x.split(10, dim=-1)], dim=-1)


STREAM = _filled(Stream())


def stream_port(
    x: Tensor, *, carry: bool = True, back: int = 0, half: bool = False, tail: str = "added"
) -> Tensor:
    step = STREAM.step
    past, kept, made = torch.zeros(2, 4, 2), torch.zeros(2, 4, 2), []
    for frame in x.split(10, dim=-1):
        joined = torch.cat([past, frame], dim=-1)
        if carry:
            past = joined[..., 10 - back : 12 - back]
            past = past.half().float() if half else past
        y = step.up(torch.tanh(step.down(joined)))  # type: ignore[operator,union-attr]
        if tail == "instead":
            y = torch.cat([kept, y[..., 2:]], dim=-1)
        elif tail != "lost":
            y = torch.cat([y[..., :2] + kept, y[..., 2:]], dim=-1)
        kept = y[..., -2:] - (0 if tail == "with bias" else step.up.bias[:, None])  # type: ignore[union-attr,index]
        made.append(y[..., :-2])
    return torch.cat(made, dim=-1)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({}, None),
        ({"carry": False}, "streaming.state"),
        ({"back": 1}, "streaming.state"),
        ({"half": True}, "dtype.precision"),
        ({"tail": "lost"}, "streaming.overlap"),
        ({"tail": "instead"}, "streaming.overlap"),
        ({"tail": "with bias"}, "streaming.overlap"),
    ],
)
def test_streaming(explain: Explain, fault: dict[str, object], cause: str | None) -> None:
    found = explain(STREAM, lambda x: stream_port(x, **fault), (X,))  # type: ignore[arg-type]
    assert causes_in_order(found) == ([cause] if cause else [])
