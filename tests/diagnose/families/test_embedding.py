"""Embeddings that a port looks up otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from parity.diagnose.families import embedding

Tensor = torch.Tensor
IDS = torch.tensor([[4, 9, 2, 0, 7, 7, 3, 0]])
OTHER = torch.tensor([[4, 11, 2, 0, 7, 5, 3, 0]])
FAMILIES = (embedding,)


class Embed(nn.Module):
    """Scaled rows through a layer."""

    def __init__(self, *, deep: bool) -> None:
        super().__init__()
        self.deep = deep
        generator = torch.Generator().manual_seed(2)
        self.table = nn.Parameter(torch.randn(16, 9, generator=generator))
        self.out = nn.Linear(9, 9)

    def forward(self, ids: Tensor) -> Tensor:
        rows = self.table[ids] * 3
        return self.out(rows).tanh() if self.deep else rows


FLAT, DEEP = Embed(deep=False), Embed(deep=True)


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(16, 9, padding_idx=0)
        nn.init.normal_(self.tokens.weight)

    def forward(self, ids: Tensor) -> Tensor:
        return self.tokens(ids).cumsum(1)


PLAIN = Plain()


def deep(rows: Tensor) -> Tensor:
    return DEEP.out(rows * 3).tanh()


def rows(ids: Tensor) -> Tensor:
    return functional.embedding(ids, DEEP.table)


CASES = {
    "unscaled": (FLAT, lambda ids: FLAT.table[ids], "embedding.scale", 1.0),
    "scaled": (PLAIN, lambda ids: (3 * PLAIN.tokens.weight[ids]).cumsum(1), "embedding.scale", 3.0),
    "shifted": (DEEP, lambda ids: deep(rows(ids + 1)), "embedding.offset", 1),
    "shifted far": (FLAT, lambda ids: 3 * FLAT.table[ids + 6], "embedding.offset", 6),
    "padding": (DEEP, lambda ids: deep(rows(ids) * (ids > 0)[..., None]),
                "embedding.padding", None),
    "ids": (FLAT, lambda _: 3 * FLAT.table[OTHER], "tokenization.ids", None),
    "later": (DEEP, lambda i: deep(rows(torch.cat((i[:, :1], i[:, :-1]), 1))),
              "tokenization.ids", None),
    "clean": (DEEP, lambda ids: deep(rows(ids)), "", None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_names_what_the_port_looks_up(name: str, explain: Callable[..., list]) -> None:
    module, port, expected, number = CASES[name]

    found = explain(module, port, (IDS,))

    chosen = [one.trial.chosen[0] for one in found]
    names = [f"{c.group.first.family}.{c.group.first.parameter}" for c in chosen]
    assert names == ([expected] if expected else [])
    if number is not None:
        assert chosen[0].value == pytest.approx(number, rel=1e-4)


def test_odd_ids_raise_nothing(diagnose: Callable[..., object]) -> None:
    for ids in (torch.zeros(0, dtype=torch.long), torch.tensor([3])):
        diagnose(FLAT, lambda i: FLAT.table[i], (ids,))
