"""The two models: few calls with much output, and many calls with little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

__all__ = ["LARGE", "MANY", "Workload", "build"]


@dataclass(frozen=True, slots=True)
class Workload:
    """One model and how it is run.

    Attributes:
        name: `large` or `many`.
        layers: of the transformer.
        width: of its residual stream.
        heads: of its attention.
        extras: whether queries and keys are normalised and dropouts are modules, as in some GPTs.
        length: tokens a call.
        calls: how often it is called, each time with a longer cache.
    """

    name: str
    layers: int
    width: int
    heads: int
    extras: bool
    length: int
    calls: int


LARGE = Workload("large", layers=12, width=768, heads=12, extras=True, length=256, calls=1)
MANY = Workload("many", layers=8, width=224, heads=4, extras=False, length=1, calls=100)


class Block(nn.Module):
    """A pre-norm transformer layer that keeps keys and values."""

    def __init__(self, work: Workload) -> None:
        super().__init__()
        width = work.width
        self.heads = work.heads
        self.norm1 = nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.down = nn.Linear(4 * width, width)
        self.scale1, self.scale2 = nn.Identity(), nn.Identity()
        names = ("query_norm", "key_norm", "attention_dropout") if work.extras else ()
        self.extras = nn.ModuleDict({name: nn.Identity() for name in names})

    def forward(self, x: torch.Tensor, cache: list[torch.Tensor]) -> torch.Tensor:
        h = self.norm1(x)
        q, k, v = self._extra("query_norm", self.query(h)), self.key(h), self.value(h)
        cache[0] = torch.cat([cache[0], self._extra("key_norm", k)], dim=1)
        cache[1] = torch.cat([cache[1], v], dim=1)
        split = (t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in (q, *cache))
        mixed = functional.scaled_dot_product_attention(*split, is_causal=x.shape[1] > 1)
        mixed = self._extra("attention_dropout", mixed.transpose(1, 2).flatten(2))
        x = x + self.scale1(self.out(mixed))
        return x + self.scale2(self.down(self.act(self.up(self.norm2(x)))))

    def _extra(self, name: str, value: torch.Tensor) -> torch.Tensor:
        return self.extras[name](value) if name in self.extras else value


class Gpt(nn.Module):
    """Embedding, layers, head; the workload `many` is a bare stack of layers."""

    def __init__(self, work: Workload) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(work) for _ in range(work.layers))
        self.ends = nn.ModuleDict()
        if work.extras:
            self.ends["token"] = nn.Embedding(1000, work.width)
            self.ends["position"] = nn.Embedding(1024, work.width)
            self.ends["norm"] = nn.LayerNorm(work.width)
            self.ends["head"] = nn.Linear(work.width, 1000)

    def forward(self, x: torch.Tensor, caches: list[list[torch.Tensor]]) -> torch.Tensor:
        if self.ends:
            positions = torch.arange(x.shape[1])[None]
            x = self.ends["token"](x) + self.ends["position"](positions)
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block(x, cache)
        return self.ends["head"](self.ends["norm"](x)) if self.ends else x


def build(work: Workload) -> tuple[nn.Module, Callable[..., torch.Tensor]]:
    """The model, and a function that runs the whole workload on it, or on what stands for it."""
    torch.manual_seed(0)
    model = Gpt(work).eval()
    tokens = torch.randint(1000, (1, work.length))
    x = tokens if work.extras else torch.randn(1, work.length, work.width)

    @torch.no_grad()
    def run(call: Callable[..., torch.Tensor] = model) -> torch.Tensor:
        empty = torch.empty(1, 0, work.width)
        caches = [[empty, empty] for _ in range(work.layers)]
        for _ in range(work.calls):
            y = call(x, caches)
        return y

    return model, run
