"""Half precision in a port that otherwise computes in float32."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from parity.diagnose.families import dtype, dtype_weights

Tensor = torch.Tensor
FAMILIES = (dtype, dtype_weights)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(4)
        self.up = nn.Linear(12, 32)
        self.down = nn.Linear(32, 12)
        for tensor in self.parameters():
            tensor.data = 0.3 * torch.randn(tensor.shape, generator=generator)
        self.register_buffer("table", torch.cos(torch.arange(72.0)).view(6, 12))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(torch.tanh(self.up(x * self.table)))


BLOCK = Block()
X = torch.randn(4, 6, 12, generator=torch.Generator().manual_seed(1))


def half(t: Tensor, kind: torch.dtype = torch.float16) -> Tensor:
    return t.to(kind).float()


def port(
    x: Tensor,
    *,
    table: Callable[[Tensor], Tensor] = lambda t: t,
    weights: Callable[[Tensor], Tensor] = lambda t: t,
    hidden: Callable[[Tensor], Tensor] = torch.tanh,
    result: Callable[[Tensor], Tensor] = lambda t: t,
) -> Tensor:
    b = BLOCK
    h = functional.linear(x * table(b.table), weights(b.up.weight), b.up.bias)
    return x + result(functional.linear(hidden(h), weights(b.down.weight), b.down.bias))


def int8(w: Tensor) -> Tensor:
    scale = w.abs().amax(1, keepdim=True) / 127
    return (w / scale).round() * scale


CASES = {
    "table": (lambda x: port(x, table=half), "table in float16"),
    "weights": (lambda x: port(x, weights=lambda w: half(w, torch.bfloat16)),
                "weights in bfloat16"),
    "int8": (lambda x: port(x, weights=int8), "weights in int8 by row"),
    "operation": (lambda x: port(x, hidden=lambda h: torch.tanh(h.half()).float()),
                  "tanh in float16"),
    "clean": (port, None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_names_what_is_rounded(name: str, explain: Callable[..., list]) -> None:
    function, expected = CASES[name]

    found = explain(BLOCK, function, (X,))

    firsts = [one.trial.chosen[0].group.first for one in found]
    assert [first.candidate for first in firsts] == ([expected] if expected else [])
    assert all((first.family, first.parameter) == ("dtype", "precision") for first in firsts)


def test_odd_tensors_raise_nothing(diagnose: Callable[..., object]) -> None:
    for x in (torch.zeros(0, 6, 12), torch.full((1, 6, 12), float("nan"))):
        diagnose(BLOCK, lambda x: port(x, table=half), (x,))
