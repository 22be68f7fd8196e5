"""The reference's building blocks: residual block, transformer, changes of size."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

__all__ = ["Downsample", "ResnetBlock", "SpatialTransformer", "Upsample"]

HEADS = 4


class ResnetBlock(nn.Module):
    """Two convolutions, the second under scale and shift from the embedding, beside a skip."""

    def __init__(self, in_dim: int, dim: int, emb_dim: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(8, in_dim)
        self.conv1 = nn.Conv2d(in_dim, dim, 3, padding=1)
        self.time_emb_proj = nn.Linear(emb_dim, 2 * dim)
        self.norm2 = nn.GroupNorm(8, dim)
        self.dropout = nn.Dropout(0.1)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)
        self.nonlinearity = nn.SiLU()
        self.conv_shortcut = nn.Conv2d(in_dim, dim, 1) if in_dim != dim else None
        self.output_scale_factor = math.sqrt(2)

    def forward(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        """[batch, in_dim, h, w] and [batch, emb_dim] -> [batch, dim, h, w]."""
        h = self.conv1(self.nonlinearity(self.norm1(x)))
        emb = self.time_emb_proj(self.nonlinearity(emb))[:, :, None, None]
        scale, shift = emb.chunk(2, dim=1)
        h = self.norm2(h) * (1 + scale) + shift
        h = self.conv2(self.dropout(self.nonlinearity(h)))
        if self.conv_shortcut is not None:
            x = self.conv_shortcut(x)
        return (x + h) / self.output_scale_factor


class Downsample(nn.Module):
    """Strided convolution, padded at the right and the bottom only."""

    def __init__(self, dim: int):
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, dim, h, w] -> [batch, dim, h / 2, w / 2]."""
        return self.conv(functional.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Interpolation and a convolution."""

    def __init__(self, in_dim: int, dim: int, mode: str):
        super().__init__()
        self.conv = nn.Conv2d(in_dim, dim, 3, padding=1)
        self.mode = mode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, in_dim, h, w] -> [batch, dim, 2h, 2w]."""
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode=self.mode))


class RMSNorm(nn.Module):
    """Root mean square of the last axis set to the weight."""

    def __init__(self, dim: int, eps: float = 1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., dim] -> the same."""
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))


class Attention(nn.Module):
    """Attention to the tokens themselves, with normalised queries and keys, or to a context."""

    def __init__(self, dim: int, context_dim: int | None = None):
        super().__init__()
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_k = nn.Linear(context_dim or dim, dim, bias=False)
        self.to_v = nn.Linear(context_dim or dim, dim, bias=False)
        self.norm_q = RMSNorm(dim // HEADS) if context_dim is None else None
        self.norm_k = RMSNorm(dim // HEADS) if context_dim is None else None
        self.to_out = nn.Sequential(nn.Linear(dim, dim), nn.Dropout(0.1))

    def forward(
        self, x: torch.Tensor, context: torch.Tensor | None = None, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """[batch, tokens, dim], under bool[batch, context tokens] -> [batch, tokens, dim]."""
        source = x if context is None else context
        q, k, v = (
            projection.unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for projection in (self.to_q(x), self.to_k(source), self.to_v(source))
        )
        if self.norm_q is not None:
            q, k = self.norm_q(q), self.norm_k(k)
        allowed = None if mask is None else mask[:, None, None, :]
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        return self.to_out(y.transpose(1, 2).flatten(2))


class GEGLU(nn.Module):
    """One half times the GELU of the other."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.proj = nn.Linear(dim, 2 * hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., dim] -> [..., hidden]."""
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * functional.gelu(gate)


class FeedForward(nn.Module):
    """GEGLU and a projection."""

    def __init__(self, dim: int):
        super().__init__()
        self.net = nn.Sequential(GEGLU(dim, 2 * dim), nn.Dropout(0.1), nn.Linear(2 * dim, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., dim] -> the same."""
        return self.net(x)


class TransformerBlock(nn.Module):
    """Attention within, attention to the context, feed-forward, each behind a norm and a skip."""

    def __init__(self, dim: int, context_dim: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn1 = Attention(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.attn2 = Attention(dim, context_dim)
        self.norm3 = nn.LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x: torch.Tensor, context: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[batch, tokens, dim] -> the same."""
        x = self.attn1(self.norm1(x)) + x
        x = self.attn2(self.norm2(x), context, mask) + x
        return self.ff(self.norm3(x)) + x


def positions_2d(dim: int, height: int, width: int) -> torch.Tensor:
    """Sines and cosines of the row, then of the column; [height * width, dim]."""
    quarter = dim // 4
    omega = 1.0 / 10000 ** (torch.arange(quarter, dtype=torch.float32) / quarter)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    parts = []
    for position in (rows.flatten(), columns.flatten()):
        angles = position[:, None] * omega
        parts += [angles.sin(), angles.cos()]
    return torch.cat(parts, dim=1)


class SpatialTransformer(nn.Module):
    """A transformer over the pixels of a map, beside a skip."""

    def __init__(self, dim: int, context_dim: int):
        super().__init__()
        self.norm = nn.GroupNorm(8, dim, eps=1e-6)
        self.proj_in = nn.Linear(dim, dim)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(dim, context_dim)])
        self.proj_out = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor, context: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[batch, dim, h, w] -> the same."""
        batch, dim, height, width = x.shape
        tokens = self.proj_in(self.norm(x).permute(0, 2, 3, 1).reshape(batch, -1, dim))
        tokens = tokens + positions_2d(dim, height, width)
        for block in self.transformer_blocks:
            tokens = block(tokens, context, mask)
        y = self.proj_out(tokens).reshape(batch, height, width, dim).permute(0, 3, 1, 2)
        return y.contiguous() + x
