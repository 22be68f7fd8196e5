"""Joined conditions and guidance that a port does otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests_families import causes, draw
from torch import nn

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


class Guided(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(12, 8)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        with_text = self.net(torch.cat([x, text], dim=-1))
        without = self.net(torch.cat([x, torch.zeros_like(text)], dim=-1))
        return without + 3.5 * (with_text - without)


def guided_port(model: Guided, fault: str) -> Callable[..., Tensor]:
    def run(x: Tensor, text: Tensor) -> Tensor:
        joined = [text, x] if fault == "order" else [x, text]
        c = model.net(torch.cat(joined, -1))
        u = model.net(torch.cat([x, 0 * text], -1))
        forms = {
            "base": c + 3.5 * (c - u),
            "exchanged": c + 3.5 * (u - c),
            "strength": u + 5.0 * (c - u),
            "unguided": c,
        }
        return forms.get(fault, u + 3.5 * (c - u)).detach()

    return run


@pytest.mark.parametrize(
    ("fault", "cause", "value"),
    [
        ("base", "conditioning.guidance", None),
        ("exchanged", "conditioning.guidance", None),
        ("strength", "conditioning.guidance", 5.0),
        ("unguided", "conditioning.guidance", None),
        ("order", "conditioning.order", None),
        ("", None, None),
    ],
)
def test_guidance(explain: Callable, fault: str, cause: str | None, value: float | None) -> None:
    torch.manual_seed(1)
    model = Guided().eval()
    found = explain(model, guided_port(model, fault), [draw(3, 6), draw(3, 6, seed=2)])
    assert causes(found) == ({cause} if cause else set())
    if value is not None:
        assert found[0].trial.chosen[0].value == pytest.approx(value, rel=1e-4)
