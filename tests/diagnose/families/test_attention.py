"""Attention that a port does otherwise: weights, masks, heads and caches."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from parity.diagnose.families import attention, cache, head_merge, heads, mask

Tensor = torch.Tensor
DIM, HEADS, SIZE = 24, 4, 6
FAMILIES = (attention, cache, head_merge, heads, mask)


def data(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class Weights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Parameter(data(3 * DIM, DIM, seed=1) * 0.4)
        self.out = nn.Parameter(data(DIM, DIM, seed=2) * 0.2)

    def cut(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y = functional.linear(x, self.qkv)
        q, k, v = (t.view(*t.shape[:2], HEADS, SIZE).transpose(1, 2) for t in y.chunk(3, -1))
        return q, k, v

    def join(self, y: Tensor) -> Tensor:
        return functional.linear(y.transpose(1, 2).flatten(2), self.out)


class WrittenOut(Weights):
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.cut(x)
        scores = q @ k.transpose(-2, -1) / SIZE**0.5
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
        return self.join(torch.softmax(scores, -1) @ v)


class Einsum(Weights):
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (t.transpose(1, 2) for t in self.cut(x))
        scores = torch.einsum("bqhd,bkhd->bhqk", q * SIZE**-0.5, k)
        later = torch.zeros(scores.shape[-2:]).masked_fill(
            torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -1e9
        )
        weights = (scores + later).softmax(dim=-1)
        y = torch.einsum("bhqk,bkhd->bqhd", weights, v)
        return functional.linear(y.reshape(*x.shape), self.out)


class Fused(Weights):
    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.cut(x)
        return self.join(functional.scaled_dot_product_attention(q, k, v, is_causal=True))


W = WrittenOut()
X = data(2, 7, DIM)
LATER = torch.ones(7, 7, dtype=torch.bool).triu(1)
AGE = torch.arange(7)[:, None] - torch.arange(7)


def port(  # noqa: PLR0917
    scale: float = SIZE**-0.5,
    hidden: Tensor = LATER,
    weigh: Callable[[Tensor], Tensor] = lambda s: torch.softmax(s, -1),
    bend: Callable[[Tensor], Tensor] = lambda s: s,
    join: Callable[[Tensor], Tensor] = lambda y: y.transpose(1, 2).flatten(2),
    order: tuple[int, int, int] = (0, 1, 2),
) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        parts = W.cut(x)
        q, k, v = (parts[i] for i in order)
        scores = bend(torch.einsum("bhqd,bhkd->bhqk", q, k) * scale)
        weights = weigh(scores.masked_fill(hidden, float("-inf")))
        return functional.linear(join(weights @ v), W.out).detach()

    return run


def cause(found: list) -> str:
    (one,) = found
    (chosen,) = one.trial.chosen
    return f"{chosen.group.first.family}.{chosen.group.first.parameter}"


def value(found: list) -> float:
    chosen = found[0].trial.chosen[0]
    return chosen.value if chosen.value is not None else chosen.group.first.value


REFERENCES = [WrittenOut(), Einsum(), Fused()]


@pytest.mark.parametrize("reference", REFERENCES)
def test_weights(explain: Callable[..., list], reference: nn.Module) -> None:
    assert explain(reference, port(), [X]) == []
    found = explain(reference, port(scale=0.31), [X])
    assert (cause(found), value(found)) == ("attention.scale", pytest.approx(0.31, rel=1e-4))
    found = explain(reference, port(bend=lambda s: 1.5 * torch.tanh(s / 1.5)), [X])
    assert (cause(found), value(found)) == ("attention.softcap", pytest.approx(1.5, rel=1e-3))

    def with_sink(s: Tensor) -> Tensor:
        return torch.softmax(torch.cat([s, torch.full_like(s[..., :1], 0.7)], -1), -1)[..., :-1]

    found = explain(reference, port(weigh=with_sink), [X])
    assert (cause(found), value(found)) == ("attention.sink", pytest.approx(0.7, rel=1e-3))


@pytest.mark.parametrize("reference", REFERENCES)
def test_masks(explain: Callable[..., list], reference: nn.Module) -> None:
    found = explain(reference, port(hidden=torch.zeros_like(LATER)), [X])
    assert cause(found) == "mask.causal"
    found = explain(reference, port(hidden=LATER | (AGE >= 3)), [X])
    assert (cause(found), value(found)) == ("mask.window", 3)
    found = explain(reference, port(hidden=AGE < -1), [X])
    assert cause(found) == "mask.causal"
    number = port(hidden=torch.zeros_like(LATER), bend=lambda s: s - LATER.float())
    assert cause(explain(reference, number, [X])) == "mask.applied"


@pytest.mark.parametrize("reference", REFERENCES)
def test_heads(explain: Callable[..., list], reference: nn.Module) -> None:
    found = explain(reference, port(order=(0, 2, 1)), [X])
    assert cause(found) == "attention.qkv"
    if not isinstance(reference, Einsum):
        flat = explain(reference, port(join=lambda y: y.reshape(2, 7, DIM)), [X])
        assert cause(flat) == "attention.merge"


def test_softmax_over_queries(explain: Callable[..., list]) -> None:
    over = port(weigh=lambda s: torch.softmax(s, -2))
    assert cause(explain(WrittenOut(), over, [X])) == "attention.axis"


def test_module(explain: Callable[..., list]) -> None:
    module = nn.MultiheadAttention(DIM, HEADS, batch_first=True).eval()
    module.load_state_dict({
        "in_proj_weight": W.qkv.data, "in_proj_bias": data(3 * DIM),
        "out_proj.weight": W.out.data, "out_proj.bias": data(DIM),
    })  # fmt: skip

    class Self(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = module

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x, x, x, need_weights=False)[0]

    def run(x: Tensor, scale: float = SIZE**-0.5, order: tuple[int, ...] = (0, 1, 2)) -> Tensor:
        y = functional.linear(x, module.in_proj_weight, module.in_proj_bias).chunk(3, -1)
        q, k, v = (y[i].unflatten(-1, (HEADS, SIZE)).transpose(1, 2) for i in order)
        y = (torch.softmax(q @ k.mT * scale, -1) @ v).transpose(1, 2).flatten(2)
        return module.out_proj(y).detach()

    assert explain(Self(), run, [X]) == []
    found = explain(Self(), lambda x: run(x, scale=1.0), [X])
    assert (cause(found), value(found)) == ("attention.scale", pytest.approx(1.0, rel=1e-4))
    assert cause(explain(Self(), lambda x: run(x, order=(0, 2, 1)), [X])) == "attention.qkv"


class Shared(nn.Module):
    """Two groups of keys for four heads of queries, and padding."""

    def __init__(self) -> None:
        super().__init__()
        self.kv = nn.Parameter(data(2 * 2 * SIZE, DIM, seed=5) * 0.4)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q = functional.linear(x, W.qkv[:DIM]).view(batch, length, HEADS, SIZE).transpose(1, 2)
        k, v = functional.linear(x, self.kv).view(batch, length, 2, 2, SIZE).unbind(2)
        k, v = (
            t.transpose(1, 2)[:, :, None].expand(-1, -1, 2, -1, -1).reshape(batch, 4, length, SIZE)
            for t in (k, v)
        )
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None, None])
        return y.transpose(1, 2).flatten(2)


def test_shared_keys_and_padding(explain: Callable[..., list]) -> None:
    reference = Shared()
    seen = torch.arange(7)[None] < torch.tensor([4, 6])[:, None]

    def run(x: Tensor, seen: Tensor, *, tiled: bool = False) -> Tensor:
        q = functional.linear(x, W.qkv[:DIM]).unflatten(-1, (HEADS, SIZE)).transpose(1, 2)
        k, v = functional.linear(x, reference.kv).unflatten(-1, (2, 2, SIZE)).unbind(2)
        repeat = (lambda t: t.repeat(1, 2, 1, 1)) if tiled else (
            lambda t: t.repeat_interleave(2, 1))  # fmt: skip
        k, v = (repeat(t.transpose(1, 2)) for t in (k, v))
        scores = (q @ k.mT * SIZE**-0.5).masked_fill(~seen[:, None, None], float("-inf"))
        return (torch.softmax(scores, -1) @ v).transpose(1, 2).flatten(2).detach()

    assert explain(reference, run, [X, seen]) == []
    assert cause(explain(reference, lambda x, s: run(x, s, tiled=True), [X, seen])) == (
        "attention.heads"
    )
    found = explain(reference, lambda x, s: run(x, torch.ones_like(s)), [X, seen])
    assert cause(found) == "mask.padding"
    shorter = torch.arange(7)[None] < torch.tensor([3, 5])[:, None]
    found = explain(reference, lambda x, _: run(x, shorter), [X, seen])
    assert cause(found) == "mask.padding"


class Cached(Weights):
    """A past that is written into memory beforehand."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.cut(x)
        memory = torch.zeros(2, x.shape[0], HEADS, 12, SIZE)
        memory[0, :, :, :5], memory[1, :, :, :5] = k[:, :, :5], v[:, :, :5]
        memory[0, :, :, 5:7], memory[1, :, :, 5:7] = k[:, :, 5:], v[:, :, 5:]
        k, v = memory[:, :, :, :7].unbind(0)
        age = torch.arange(5, 7)[:, None] - torch.arange(7)
        y = functional.scaled_dot_product_attention(q[:, :, 5:], k, v, attn_mask=age >= 0)
        return y.transpose(1, 2).flatten(2)


def test_caches(explain: Callable[..., list]) -> None:
    def run(
        x: Tensor,
        hidden: Callable[[Tensor], Tensor] = lambda column: column < 0,
        past: Callable[[Tensor], Tensor] = lambda t: t,
    ) -> Tensor:
        q, k, v = W.cut(x)
        k, v = (torch.cat([past(t[:, :, :5]), t[:, :, 5:]], 2) for t in (k, v))
        column = torch.arange(7)
        gone = (column > torch.arange(5, 7)[:, None]) | hidden(column)
        scores = (q[:, :, 5:] @ k.mT * SIZE**-0.5).masked_fill(gone, float("-inf"))
        return (torch.softmax(scores, -1) @ v).transpose(1, 2).flatten(2).detach()

    def first_empty(t: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(t[:, :, :1]), t[:, :, 1:]], 2)

    reference = Cached()
    assert explain(reference, run, [X]) == []
    found = explain(reference, lambda x: run(x, hidden=lambda column: column < 5), [X])
    assert cause(found) == "cache.reset"
    found = explain(reference, lambda x: run(x, hidden=lambda column: column == 4), [X])
    assert cause(found) == "cache.position"
    assert cause(explain(reference, lambda x: run(x, past=first_empty), [X])) == "cache.region"
    found = explain(reference, lambda x: run(x, past=lambda t: t.half().float()), [X])
    assert cause(found) == "dtype.precision"
