"""Layouts, resizing, and what images go through before the model."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests_families import causes_in_order
from torch import nn
from torch.nn import functional

from parity.diagnose.axes import Run, runs_of
from parity.diagnose.engine import Explained
from parity.diagnose.families import layout, preprocess, resize
from parity.diagnose.resampling import RULES, resample

Tensor = torch.Tensor
Explain = Callable[..., list[Explained]]
FAMILIES = (layout, preprocess, resize)


class Tokens(nn.Module):
    """A map to tokens, joined heads, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x.flatten(2).transpose(1, 2))
        heads = x.view(2, 16, 2, 4).transpose(1, 2)
        joined = torch.tanh(heads).transpose(1, 2).reshape(2, 16, 8)
        return functional.pixel_shuffle(joined.transpose(1, 2).reshape(2, 8, 4, 4), 2)


TOKENS = Tokens().requires_grad_(False)
MAP = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(1))


def tokens_port(
    x: Tensor, *, columns: bool = False, join: bool = True, lies: bool = False, block: bool = False
) -> Tensor:
    x = x.transpose(2, 3) if columns else x
    x = TOKENS.linear(x.flatten(2).transpose(1, 2))
    heads = torch.tanh(x.view(2, 16, 2, 4).transpose(1, 2))
    joined = (heads.transpose(1, 2) if join else heads).reshape(2, 16, 8)
    grid = (joined if lies else joined.transpose(1, 2)).reshape(2, 8, 4, 4)
    if block:
        grid = grid.view(2, 4, 2, 4, 4).transpose(1, 2).reshape(2, 8, 4, 4)
    return functional.pixel_shuffle(grid, 2)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({}, None),
        ({"columns": True}, "layout.flatten"),
        ({"join": False}, "layout.transposed"),
        ({"lies": True}, "layout.transposed"),
        ({"block": True}, "layout.flatten"),
    ],
)
def test_tokens(explain: Explain, fault: dict[str, bool], cause: str | None) -> None:
    found = explain(TOKENS, lambda x: tokens_port(x, **fault), (MAP,))
    assert causes_in_order(found) == ([cause] if cause else [])


class Picture(nn.Module):
    """Bytes, channels last, to a normalised picture."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.48, 0.45, 0.4]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.27, 0.26, 0.28]).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        x = pixels.permute(0, 3, 1, 2).float() / 255
        x = functional.interpolate(x, size=(9, 13), mode="bilinear", antialias=True)
        return (x - self.mean) / self.std


PICTURE = Picture()
PIXELS = torch.randint(
    0, 256, (2, 16, 20, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(4)
)


def picture_port(
    pixels: Tensor, *, bgr: bool = False, signed: bool = False, half: bool = False,
    variance: bool = False, divisor: float = 255.0, **how: bool,
) -> Tensor:  # fmt: skip
    pixels = pixels.flip(-1) if bgr else pixels
    x = pixels.permute(0, 3, 1, 2).float() / divisor
    x = 2 * x - 1 if signed else x
    x = functional.interpolate(x, size=(9, 13), mode="bilinear", **{"antialias": True, **how})
    mean, std = (torch.tensor(0.5), torch.tensor(0.5)) if half else (PICTURE.mean, PICTURE.std)
    return (x - mean) / (std * std if variance else std)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({}, None),
        ({"bgr": True}, "preprocess.channels"),
        ({"signed": True}, "preprocess.scale"),
        ({"half": True}, "preprocess.mean"),
        ({"variance": True}, "preprocess.scale"),
        ({"divisor": 256.0}, "preprocess.scale"),
        ({"antialias": False}, "preprocess.resize"),
        ({"antialias": False, "align_corners": True}, "preprocess.resize"),
    ],
)
def test_picture(explain: Explain, fault: dict[str, object], cause: str | None) -> None:
    found = explain(PICTURE, lambda x: picture_port(x, **fault), (PIXELS,))  # type: ignore[arg-type]
    assert causes_in_order(found) == ([cause] if cause else [])
    if "divisor" in fault:
        assert found[0].trial.chosen[0].value == pytest.approx(256)


@pytest.mark.parametrize("size", [(5, 7), (18, 26), (20, 11)])
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("nearest", {"mode": "nearest"}),
        ("nearest, centred", {"mode": "nearest-exact"}),
        ("linear", {"mode": "bilinear"}),
        ("linear, corners aligned", {"mode": "bilinear", "align_corners": True}),
        ("linear, antialiased", {"mode": "bilinear", "antialias": True}),
        ("cubic", {"mode": "bicubic"}),
        ("cubic, antialiased", {"mode": "bicubic", "antialias": True}),
        ("area", {"mode": "area"}),
    ],
)
def test_rules_are_torchs(size: tuple[int, int], name: str, how: dict[str, object]) -> None:
    x = torch.randn(2, 3, 9, 13, generator=torch.Generator().manual_seed(6))
    expected = functional.interpolate(x, size=size, **how)  # type: ignore[arg-type]
    assert torch.allclose(resample(x, size, RULES[name]), expected, atol=1e-5)


def test_runs() -> None:
    assert runs_of((2, 3, 4, 5), (2, 12, 5)) == [
        Run((2,), (2,), 0), Run((3, 4), (12,), 1), Run((5,), (5,), 3),
    ]  # fmt: skip
    assert runs_of((2, 0), (0,)) == []
    assert runs_of((6,), (2, 3)) == [Run((6,), (2, 3), 0)]
