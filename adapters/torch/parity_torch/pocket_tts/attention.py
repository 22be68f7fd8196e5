"""Causal multi-head self-attention with a growing cache of keys and values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from parity_torch.pocket_tts import rope
from parity_torch.pocket_tts.layers import linear
from parity_torch.pocket_tts.stream import Stream
from parity_torch.pocket_tts.weights import Site

__all__ = ["Window", "attend", "causal_mask"]

Heads = torch.Tensor  # [batch, length, heads, head_dim]


@dataclass(frozen=True, slots=True)
class Window:
    """The new positions of one call, the same for all layers.

    Attributes:
        turn: the rotation of each.
        mask: which keys each may look at, as `causal_mask` gives it.
    """

    turn: rope.Rotation
    mask: torch.Tensor


def causal_mask(start: int, length: int, context: int | None) -> torch.Tensor:
    """Which keys each query may look at: bool[length, start + length], True to look.

    Queries stand at positions `start` onward; keys at 0 onward. A query sees itself and what came
    before it, no more than `context` positions in all.
    """
    queries = torch.arange(start, start + length)
    keys = torch.arange(start + length)
    distance = queries[:, None] - keys[None, :]
    visible = distance >= 0
    return visible if context is None else visible & (distance < context)


def split_heads(fused: torch.Tensor, heads: int) -> tuple[Heads, Heads, Heads]:
    """Queries, keys and values from [batch, length, 3 * dim]: first all queries, then all keys."""
    batch, length, _ = fused.shape
    queries, keys, values = fused.view(batch, length, 3, heads, -1).unbind(2)
    return queries, keys, values


def attend(
    site: Site, rope_site: Site, x: torch.Tensor, *, heads: int, window: Window, stream: Stream
) -> torch.Tensor:
    """Self-attention of new positions over all positions so far; [batch, length, dim] twice."""
    queries, keys, values = split_heads(linear(site / "in_proj", x), heads)
    queries = rope_site.record(rope.rotate(queries, window.turn))
    keys = rope_site.record(rope.rotate(keys, window.turn), slot="1")
    all_keys = stream.append(f"{site.path}.keys", keys.transpose(1, 2), dim=2)
    all_values = stream.append(f"{site.path}.values", values.transpose(1, 2), dim=2)
    mixed = functional.scaled_dot_product_attention(
        queries.transpose(1, 2), all_keys, all_values, attn_mask=window.mask
    )
    return site.record(linear(site / "out_proj", mixed.transpose(1, 2).flatten(-2)))
