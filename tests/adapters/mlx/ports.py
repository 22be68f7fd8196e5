"""A small transformer in torch, and its port to MLX with faults that can be switched on."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as mlx_nn
import torch
from torch import nn
from torch.nn import functional


class Layer(nn.Module):
    """Attention with rotary positions, and a feed-forward part."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.RMSNorm(width, eps=1e-5)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, x):
        q, k, v = (
            part.unflatten(-1, (self.heads, self.size)).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).chunk(3, -1)
        )
        mixed = functional.scaled_dot_product_attention(
            rotated(q, self.size), rotated(k, self.size), v, is_causal=True
        )
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


def rotated(x, size: int):
    """Pairs of neighbours are turned."""
    speed = 100.0 ** (-torch.arange(0, size, 2) / size)
    angle = torch.arange(x.shape[-2])[:, None] * speed
    one, two = x[..., 0::2], x[..., 1::2]
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([one * cos - two * sin, one * sin + two * cos], -1).flatten(-2)


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(30, 16)
        self.layers = nn.ModuleList([Layer(16, 4), Layer(16, 4)])
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 30, bias=False)

    def forward(self, tokens):
        x = self.tokens(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def reference() -> Transformer:
    torch.manual_seed(0)
    return Transformer().eval()


class LayerPort(mlx_nn.Module):
    def __init__(self, width: int, heads: int, fault: str) -> None:
        super().__init__()
        self._heads, self._fault = heads, fault
        eps = 1e-2 if fault == "epsilon" else 1e-5
        self.norm1, self.norm2 = mlx_nn.LayerNorm(width), mlx_nn.RMSNorm(width, eps=eps)
        self.qkv, self.out = mlx_nn.Linear(width, 3 * width), mlx_nn.Linear(width, width)
        gelu = mlx_nn.GELU() if fault == "gelu" else mlx_nn.GELU(approx="precise")
        self.mlp = mlx_nn.Sequential(
            mlx_nn.Linear(width, 4 * width), gelu, mlx_nn.Linear(4 * width, width)
        )

    def __call__(self, x):
        shape = (*x.shape[:2], self._heads, -1)
        parts = mx.split(self.qkv(self.norm1(x)), 3, axis=-1)
        q, k, v = (part.reshape(shape).transpose(0, 2, 1, 3) for part in parts)
        size, pairs = q.shape[-1], self._fault != "rope"
        q, k = (
            mx.fast.rope(t, size, traditional=pairs, base=100.0, scale=1.0, offset=0)
            for t in (q, k)
        )
        mixed = mx.fast.scaled_dot_product_attention(
            q, k, v, scale=size**-0.5, mask=None if self._fault == "mask" else "causal"
        )
        mixed = mixed.transpose(0, 2, 1, 3).reshape(x.shape)
        x = x + self.out(mixed)
        return x + self.mlp(self.norm2(x))


class TransformerPort(mlx_nn.Module):
    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.tokens = mlx_nn.Embedding(30, 16)
        self.layers = [LayerPort(16, 4, ""), LayerPort(16, 4, fault)]
        self.norm, self.head = mlx_nn.LayerNorm(16), mlx_nn.Linear(16, 30, bias=False)

    def __call__(self, tokens):
        x = self.tokens(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def port(fault: str = "") -> TransformerPort:
    """The port with the reference's weights; its second layer has the fault."""
    model = TransformerPort(fault)
    named = {
        name.replace(".mlp.", ".mlp.layers."): mx.array(weight.numpy())
        for name, weight in reference().state_dict().items()
    }
    model.load_weights(list(named.items()))
    if fault == "half":
        model.layers[1].out.set_dtype(mx.float16)
    return model
