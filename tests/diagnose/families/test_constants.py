"""Numbers, reductions and results that a port has otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests_families import causes
from torch import nn

from parity.capture import tap
from parity.diagnose.families import constants, graph, pooling, signature

Tensor = torch.Tensor
FAMILIES = (constants, graph, pooling, signature)


def given() -> Tensor:
    return torch.randn(3, 7, 6, generator=torch.Generator().manual_seed(4)) * 0.02 + 0.01


def value(found: list) -> float | None:
    return found[0].trial.chosen[0].value


class Numbers(nn.Module):
    """A norm spelt out, attention over positions, a soft cap, a mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)
        scores = torch.softmax(x @ x.transpose(1, 2) * 0.3, dim=-1)
        h = torch.tanh(self.map(scores @ x) / 2.5) * 2.5
        return (h - 0.25).mean(dim=1)


def port(model: Numbers, fault: str) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        x = x / (x.square().mean(-1, keepdim=True) + (1e-4 if fault == "eps" else 1e-5)).sqrt()
        factor = 6**-0.5 if fault == "scale" else 0.3
        h = tap("model.map", model.map(torch.softmax(factor * (x @ x.mT), -1) @ x))
        cap = 4.0 if fault == "cap" else 2.5
        h = cap * torch.tanh(h / cap) - (0.5 if fault == "offset" else 0.25)
        pooled = {"sum": h.sum(1), "last": h[:, -1], "doubled": 2 * h.mean(1)}
        y = pooled.get(fault, h.mean(1))
        return (y.flip(-1) if fault == "reversed" else y).detach()

    return run


@pytest.mark.parametrize(
    ("fault", "cause", "number"),
    [
        ("eps", "norm.eps", 1e-4),
        ("scale", "attention.scale", 6**-0.5),
        ("cap", "activation.clamp", 4.0),
        ("offset", "graph.constant", 0.5),
        ("sum", "graph.pooling", None),
        ("last", "graph.pooling", None),
        ("doubled", "graph.scale", 2.0),
        ("reversed", "layout.permuted", None),
        ("", None, None),
    ],
)
def test_numbers(explain: Callable, fault: str, cause: str | None, number: float | None) -> None:
    torch.manual_seed(0)
    model = Numbers().eval()
    found = explain(model, port(model, fault), [given()])
    assert causes(found) == ({cause} if cause else set())
    if number is not None:
        assert value(found) == pytest.approx(number, rel=1e-3)


def test_oddities_raise_nothing(diagnose: Callable) -> None:
    """Empty tensors, integers, NaN, numbers without axes."""

    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            empty = x[:0] * 2 + 1
            count = torch.arange(4) + 1
            lost = torch.full_like(x, float("nan")) + x
            some = torch.where(torch.isnan(lost), x, lost)
            return some.sum() * count.sum() + empty.sum() + torch.cat([empty, x]).mean()

    assert diagnose(Odd(), Odd(), [given()]).failed == {}
    engine = diagnose(Odd(), lambda x: 3 * Odd()(x), [given()])
    assert len(engine.ground.locals) == 1
