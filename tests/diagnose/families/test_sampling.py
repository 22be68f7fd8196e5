"""Draws, schedules and denormalisation that a port does otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from tests_families import causes
from torch import nn

from parity.capture import tap
from parity.diagnose.families import (
    adaln,
    chunks,
    conditioning,
    constants,
    graph,
    residual,
    sampling,
    schedule,
)

Tensor = torch.Tensor
FAMILIES = (adaln, chunks, conditioning, constants, graph, residual, sampling, schedule)


class Sampler(nn.Module):
    """A few Euler steps from noise, and numbers back in units of the data."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(5, 4)
        self.register_buffer("mean", torch.tensor([0.5, -1.0, 2.0, 0.3]))
        self.register_buffer("std", torch.tensor([2.0, 0.4, 1.5, 3.0]))

    def forward(self, sigma: Tensor) -> Tensor:
        x = torch.randn(6, 4) * sigma
        for i in range(4):
            time = torch.full((6, 1), i / 4)
            x = x + self.net(torch.cat([x, time], dim=-1)) / 4
        return x * self.std + self.mean


def sampler_port(model: Sampler, fault: str) -> Callable[..., Tensor]:
    def run(sigma: Tensor) -> Tensor:
        noise = torch.randn(6, 4)
        changed = {
            "zeros": noise * 0,
            "variance": noise * sigma,
            "sign": -noise,
            "layout": noise.reshape(4, 6).T,
        }
        x = changed.get(fault, noise) * sigma
        for i in range(4):
            number = {"reverse": 3 - i, "late": i + 1}.get(fault, i) / 4
            x = x + tap("model.net", model.net(torch.cat([x, torch.full((6, 1), number)], -1))) / 4
        forms = {
            "mean_first": (x + model.mean) * model.std,
            "normalised": x,
            "no_mean": x * model.std,
        }
        return forms.get(fault, x * model.std + model.mean).detach()

    return run


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("zeros", "sampling.noise"),
        ("variance", "sampling.scale"),
        ("sign", "sampling.sign"),
        ("layout", "sampling.layout"),
        ("reverse", "schedule.direction"),
        ("late", "schedule.values"),
        ("mean_first", "schedule.denormalise"),
        ("normalised", "schedule.denormalise"),
        ("no_mean", "schedule.denormalise"),
        ("", None),
    ],
)
def test_sampler(explain: Callable, fault: str, cause: str | None) -> None:
    torch.manual_seed(2)
    model = Sampler().eval()
    sigma = torch.tensor([0.3, 0.9, 1.7, 0.6]) * math.sqrt(2)
    found = explain(model, sampler_port(model, fault), [sigma])
    assert causes(found) == ({cause} if cause else set())
