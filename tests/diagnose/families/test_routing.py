"""Routes to experts that a port takes otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from parity.diagnose.families import routing

Tensor = torch.Tensor
EXPERTS = 11
FAMILIES = (routing,)


def data(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def mixed(weights: Tensor, chosen: Tensor, x: Tensor, experts: Tensor) -> Tensor:
    """The weighted sum of what all experts make of x; [tokens, dim]."""
    gates = torch.zeros(len(x), EXPERTS).scatter_add(1, chosen, weights)
    return torch.einsum("te,edc,td->tc", gates, experts, x)


class Softmaxed(nn.Module):
    """As Mixtral has it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Parameter(data(EXPERTS, 8, seed=1))
        self.experts = nn.Parameter(data(EXPERTS, 8, 8, seed=2) * 0.4)

    def forward(self, x: Tensor) -> Tensor:
        probabilities = torch.softmax(x @ self.gate.T, dim=-1)
        weights, chosen = torch.topk(probabilities, 3, dim=-1)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        return mixed(weights, chosen, x, self.experts)


class Corrected(Softmaxed):
    """As DeepSeek has it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bias", data(EXPERTS, seed=6) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        scores = (x @ self.gate.T).sigmoid()
        chosen = torch.topk(scores + self.bias, 3, dim=-1).indices
        weights = scores.gather(1, chosen)
        weights = weights / weights.sum(-1, keepdim=True)
        return mixed(weights * 2.5, chosen, x, self.experts)


X = data(20, 8)


def cause(found: list) -> str:
    (one,) = found
    (chosen,) = one.trial.chosen
    return f"{chosen.group.first.family}.{chosen.group.first.parameter}"


def value(found: list) -> float:
    chosen = found[0].trial.chosen[0]
    return chosen.value if chosen.value is not None else chosen.group.first.value


def test_softmax_then_choice(explain: Callable[..., list]) -> None:
    reference = Softmaxed()

    def port(x: Tensor, count: int = 3, norm: bool = True, order: Tensor | None = None) -> Tensor:
        logits, chosen = (x @ reference.gate.T).topk(count)
        weights = torch.softmax(logits, -1)
        if not norm:
            weights = torch.softmax(x @ reference.gate.T, -1).gather(1, chosen)
        chosen = chosen if order is None else order[chosen]
        return mixed(weights, chosen, x, reference.experts).detach()

    assert explain(reference, port, [X]) == []
    for count in (2, 4):
        found = explain(reference, lambda x, n=count: port(x, n), [X])
        assert (cause(found), value(found)) == ("routing.topk", count)
    assert cause(explain(reference, lambda x: port(x, norm=False), [X])) == "routing.normalise"
    text = torch.tensor(sorted(range(EXPERTS), key=str))
    assert cause(explain(reference, lambda x: port(x, order=text), [X])) == "routing.order"


def test_corrected_scores(explain: Callable[..., list]) -> None:
    reference = Corrected()

    def port(
        x: Tensor, scale: float = 2.5, chosen_by: float = 1.0, weighed_by: float = 0.0
    ) -> Tensor:
        scores = torch.sigmoid(x @ reference.gate.T)
        chosen = (scores + chosen_by * reference.bias).topk(3).indices
        weights = (scores + weighed_by * reference.bias).gather(1, chosen)
        weights = scale * weights / weights.sum(-1, keepdim=True)
        return mixed(weights, chosen, x, reference.experts).detach()

    assert explain(reference, port, [X]) == []
    assert cause(explain(reference, lambda x: port(x, chosen_by=0.0), [X])) == "routing.bias"
    assert cause(explain(reference, lambda x: port(x, weighed_by=1.0), [X])) == "routing.bias"
    found = explain(reference, lambda x: port(x, scale=1.0), [X])
    assert (cause(found), value(found)) == ("routing.normalise", pytest.approx(1.0, rel=1e-4))
