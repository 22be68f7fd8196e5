"""Stretches of operations left out, gates, softmaxes, biases of heads, loudness of a batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests_families import causes, draw
from torch import nn
from torch.nn import functional

from parity.capture import tap
from parity.tensors import Role

Tensor = torch.Tensor


def shifted(scores: Tensor) -> Tensor:
    """Each row one place further left than the one above it; [rows, columns] -> the same."""
    rows, columns = scores.shape
    padded = functional.pad(scores, (1, 0)).reshape(columns + 1, rows)
    return padded[1:].reshape(rows, columns)


class Listener(nn.Module):
    """Scores by distance, a gate, a bias of each head, and logarithms of probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(6, 6)
        self.bias = nn.Parameter(torch.randn(2, 3))
        self.out = nn.Linear(6, 8)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        x = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        heads = self.query(x).reshape(*x.shape[:2], 2, 3) + self.bias
        scores = torch.stack([shifted(row) for row in heads.flatten(2)])
        short = ((lengths - 1) // 2 - 1) // 2
        seen = torch.arange(x.shape[1])[None] < short[:, None]
        gated = functional.glu(self.out(scores * seen[..., None]), -1)
        return functional.log_softmax(gated, -1)


def port(model: Listener, fault: str) -> Callable[..., Tensor]:
    def run(x: Tensor, lengths: Tensor) -> Tensor:
        power = x.square().mean() if fault == "loudness" else x.square().mean(-1, keepdim=True)
        x = x / (power + 1e-6).sqrt()
        heads = tap("model.query", model.query(x)).reshape(*x.shape[:2], 2, 3)
        heads = heads if fault == "bias" else heads + model.bias
        rows = heads.flatten(2)
        scores = rows if fault == "shift" else torch.stack([shifted(row) for row in rows])
        short = lengths if fault == "lengths" else ((lengths - 1) // 2 - 1) // 2
        seen = torch.arange(x.shape[1])[None] < short[:, None]
        a, b = tap("model.out", model.out(scores * seen[..., None])).chunk(2, -1)
        gated = a * (torch.tanh(b) if fault == "gate" else torch.sigmoid(b))
        if fault == "probabilities":
            return functional.softmax(gated, -1).detach()
        return functional.log_softmax(gated, 1 if fault == "axis" else -1).detach()

    return run


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("", None),
        ("shift", "graph.omitted"),
        ("lengths", "graph.omitted"),
        ("gate", "activation.function"),
        ("bias", "weights.bias"),
        ("probabilities", "activation.function"),
        ("axis", "graph.axis"),
        ("loudness", "norm.axis"),
    ],
)
def test_listener(explain: Callable, fault: str, cause: str | None) -> None:
    torch.manual_seed(4)
    model = Listener().eval()
    x = draw(2, 7, 6) * torch.tensor([1.0, 3.0])[:, None, None]
    found = explain(model, port(model, fault), [x, torch.tensor([24, 14])])
    assert causes(found) == ({cause} if cause else set())


class Snake(nn.Module):
    """x + sin(a x)^2 / a, a of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.linspace(0.5, 2.0, 5))

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sin(self.a * x).square() / self.a


def test_a_curve_shaped_by_parameters_is_told_from_another(explain: Callable) -> None:
    model = Snake()
    found = explain(model, functional.elu, [draw(3, 40, 5)])
    (one,) = found
    (chosen,) = one.trial.chosen
    assert chosen.group.first.name == "activation.function: its own function -> ELU(alpha=1.0)"


class TwoReaders(nn.Module):
    """A sum that a norm and a later sum read."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.first(x)
        return y + self.second(self.norm(y))


def test_of_two_changes_that_explain_a_tap_the_one_that_explains_more_is_the_cause(
    explain: Callable,
) -> None:
    torch.manual_seed(5)
    model = TwoReaders().eval()

    def run(x: Tensor) -> Tensor:
        tap("model.first", model.first(x))
        return (x + tap("model.second", model.second(tap("model.norm", model.norm(x))))).detach()

    found = explain(model, run, [draw(3, 9, 4)])
    assert len(found) == 1, [c.group.first.name for x in found for c in x.trial.chosen]


class TwoResults(nn.Module):
    """Weights and scores that one function makes, each of them given out."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.use = Gate(), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        scores, shares = self.gate(x)
        return self.use(scores) + shares


class Gate(nn.Module):
    """Sigmoids, and what share of them each is."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = torch.sigmoid(x)
        return scores, scores / scores.sum(-1, keepdim=True)


def test_a_change_that_spoils_what_is_right_is_not_sure(diagnose: Callable) -> None:
    torch.manual_seed(6)
    model = TwoResults().eval()

    def run(x: Tensor) -> Tensor:
        scores, other = torch.sigmoid(x), functional.relu(x)
        shares = other / other.sum(-1, keepdim=True)
        tap("model.gate", (scores, shares), role=Role.OUTPUT)
        return (tap("model.use", model.use(scores)) + shares).detach()

    engine = diagnose(model, run, [draw(5, 6)])
    (one,) = engine.explained
    assert one.spoils, [c.group.first.name for c in one.trial.chosen]
    assert not engine.ground.active


def test_numbers_of_two_changes_are_solved_for_together(explain: Callable) -> None:
    class Curved(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.elu(x * 2.0, alpha=0.5) + functional.leaky_relu(x, 0.2)

    def run(x: Tensor) -> Tensor:
        return functional.elu(x * 1.3, alpha=0.9) + functional.leaky_relu(x, 0.2)

    found = explain(Curved(), run, [draw(4, 50)])
    values = sorted(c.value for x in found for c in x.trial.chosen if c.value is not None)
    assert values == pytest.approx([0.9, 1.3], rel=1e-3)
