"""Audio front ends in ports: windows, frames, filters, logarithms, emphasis, companding."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from parity.diagnose.engine import Explained
from parity.diagnose.families import audio, audio_log, loudness, samples
from parity.diagnose.mel import Bank, filters, recognise

Tensor = torch.Tensor
Explain = Callable[..., list[Explained]]
BANK = Bank("slaney", True, 16000.0, 60.0, 7600.0, 129, 20)
FAMILIES = (audio, audio_log, loudness, samples)


class Frontend(nn.Module):
    window: Tensor
    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(200))
        self.register_buffer("bank", filters(BANK).float())

    def forward(self, pcm: Tensor) -> Tensor:
        x = pcm.float() / 32768.0
        x = torch.cat([x[:, :1], x[:, 1:] - 0.97 * x[:, :-1]], dim=1)
        power = (
            torch.stft(x, 256, 80, 200, window=self.window, center=True, return_complex=True).abs()
            ** 2
        )
        return torch.log(torch.clamp(self.bank @ power, min=1e-5))


FRONTEND = Frontend()
PCM = torch.randint(
    -20000, 20000, (2, 800), dtype=torch.int16, generator=torch.Generator().manual_seed(3)
)


def port(
    pcm: Tensor, *, scale: float = 32768.0, emphasis: float = 0.97, periodic: bool = True,
    mode: str = "reflect", power: int = 2, bank: Bank = BANK,
    log: Callable[[Tensor], Tensor] = lambda x: torch.log(x.clamp(min=1e-5)),
) -> Tensor:  # fmt: skip
    x = pcm.float() / scale
    x = torch.cat([x[:, :1], x[:, 1:] - emphasis * x[:, :-1]], dim=1)
    window = functional.pad(torch.hann_window(200, periodic=periodic), (28, 28))
    x = functional.pad(x, (128, 128), mode=mode)
    spectrum = torch.fft.rfft(x.unfold(1, 256, 80) * window).transpose(1, 2)
    return log(filters(bank).float() @ spectrum.abs() ** power)


@pytest.mark.parametrize(
    ("fault", "cause", "value"),
    [
        ({}, None, None),
        ({"scale": 1.0}, "audio.scale", None),
        ({"scale": 32767.0}, "audio.scale", 32767.0),
        ({"emphasis": 0.0}, "audio.emphasis", None),
        ({"emphasis": 0.95}, "audio.emphasis", 0.95),
        ({"periodic": False}, "audio.window", None),
        ({"mode": "constant"}, "padding.mode", None),
        ({"power": 1}, "audio.power", None),
        ({"bank": BANK.but(scale="htk")}, "audio.mel", None),
        ({"bank": BANK.but(equal_area=False)}, "audio.mel", None),
        ({"bank": BANK.but(high=8000.0)}, "audio.mel", 8000.0),
        ({"log": lambda x: torch.log10(x.clamp(min=1e-5))}, "audio.log", None),
        ({"log": lambda x: torch.log(x + 1e-5)}, "audio.log", None),
        ({"log": lambda x: torch.log(x.clamp(min=3e-3))}, "audio.log", 3e-3),
    ],
)
def test_frontend(
    explain: Explain, fault: dict[str, object], cause: str | None, value: float | None
) -> None:
    found = explain(FRONTEND, lambda x: port(x, **fault), (PCM,))  # type: ignore[arg-type]
    chosen = [c for one in found for c in one.trial.chosen]
    assert [f"{c.group.first.family}.{c.group.first.parameter}" for c in chosen] == (
        [cause] if cause else []
    )
    if value:
        assert chosen[0].value == pytest.approx(value, rel=1e-3)


class Samples(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = torch.sign(x) * ((1.0 + 255) ** x.abs() - 1.0) / 255
        value, made = torch.zeros(len(x)), []
        for sample in x.unbind(1):
            value = sample + 0.97 * value
            made.append(value)
        return torch.stack(made, dim=1)


def samples_port(x: Tensor, mu: float, factor: float) -> Tensor:
    x = torch.sign(x) * torch.expm1(x.abs() * math.log1p(mu)) / mu
    value, made = torch.zeros(len(x)), []
    for sample in x.unbind(1):
        value = sample + factor * value
        made.append(value)
    return torch.stack(made, dim=1)


@pytest.mark.parametrize(
    ("mu", "factor", "cause", "value"),
    [(255, 0.97, None, None), (100, 0.97, "companding", 100.0), (255, 0.9, "emphasis", 0.9)],
)
def test_samples(
    explain: Explain, mu: float, factor: float, cause: str | None, value: float | None
) -> None:
    x = 2 * torch.rand(2, 24, generator=torch.Generator().manual_seed(1)) - 1
    found = explain(Samples(), lambda x: samples_port(x, mu, factor), (x,))
    chosen = [c for one in found for c in one.trial.chosen]
    assert [c.group.first.parameter for c in chosen] == ([cause] if cause else [])
    if value:
        assert chosen[0].value == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("area", [True, False])
def test_recognises_filters(scale: str, area: bool) -> None:
    bank = Bank(scale, area, 22050.0, 0.0, 8000.0, 513, 80)
    assert recognise(filters(bank).float()) == bank
    assert recognise(torch.rand(20, 65)) is None


class Levelled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        level = torch.sqrt(x.pow(2).mean(dim=-1, keepdim=True) + 1e-8)
        return torch.tanh(x / level)


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        (lambda x: x.square().mean(-1, keepdim=True).sqrt(), None),
        (lambda x: x.abs().mean(-1, keepdim=True), "as mean magnitude"),
        (lambda x: x.abs().amax(-1, keepdim=True), "as peak"),
    ],
)
def test_loudness(explain: Explain, measure: Callable[[Tensor], Tensor], said: str | None) -> None:
    x = torch.randn(3, 64, generator=torch.Generator().manual_seed(1))
    found = explain(Levelled(), lambda x: torch.tanh(x / measure(x)), (x,))
    chosen = [c.group.first.candidate for f in found for c in f.trial.chosen]
    assert chosen == ([said] if said else [])
