from __future__ import annotations

import sys
from pathlib import Path

import pytest

MODELS = '''
import torch
from torch import nn

import parity


def make(width=8, bias=True):
    return nn.Sequential(nn.Linear(4, int(width), bias=bias), nn.GELU(), nn.Linear(int(width), 2))


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(3, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x, scale: float = 1.0, *, mask=None):
        for _ in range(2):
            x = self.mix(x + torch.randn_like(x) * scale)
        return self.drop(x if mask is None else x * mask)


READY = make()
NUMBER = 3


def number():
    return 3


def stumbling():
    return len(3)


class Counter:
    """A program with all its parts: two phases, steps, taps, outputs."""

    def __init__(self, precision="float32", threads_seen=None):
        self.name = "counter"
        self.core = nn.Linear(3, 3)
        self.modules = {"core": self.core}
        self.functions = ["torch_models.double"]
        self.phases = {"prompt": "torch_models.prompt"}
        self.steps = {"prompt": "core"}
        self.facts = {"precision": precision}

    def run(self, case):
        x = torch.tensor(case.arrays["x"])
        prompt(self.core, x)
        with parity.phase("decode"):
            y = parity.tap("explicit", double(self.core(x)))
        self.grad = torch.is_grad_enabled()
        self.threads = torch.get_num_threads()
        return {"waveform": y, "count": torch.tensor(case.inputs.get("count", 1))}


def prompt(core, x):
    core(x)
    core(x)


def double(x):
    return x * 2


class Bare:
    def run(self, case):
        parity.tap("only", torch.ones(2))


class ReturnsATensor:
    def run(self, case):
        return torch.ones(2)


class BadPhases(Bare):
    phases = ["prompt"]


class TakesNoiseItself:
    def run(self, case):
        return {"drawn": torch.tensor(case.noise[0].values)}


class Fails:
    def run(self, case):
        parity.tap("before", torch.ones(2))
        torch.ones(2) @ torch.ones(3)
'''


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an importable module of models."""
    (tmp_path / "torch_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("torch_models", None)
    return "torch_models"
