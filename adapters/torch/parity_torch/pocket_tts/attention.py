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
    queries, keys, values = project(site, x, heads)
    queries, keys = turn(rope_site, queries, keys, window.turn)
    all_keys, all_values = remember(site, keys, values, stream)
    mixed = weigh(queries.transpose(1, 2), all_keys, all_values, window.mask)
    return site.record(merge(site, mixed))


def project(site: Site, x: torch.Tensor, heads: int) -> tuple[Heads, Heads, Heads]:
    """Queries, keys and values of [batch, length, dim]."""
    return split_heads(linear(site / "in_proj", x), heads)


def turn(
    site: Site, queries: Heads, keys: Heads, rotation: rope.Rotation
) -> tuple[torch.Tensor, torch.Tensor]:
    """Queries and keys with their positions in them, of the same shapes."""
    return (
        site.record(rope.rotate(queries, rotation)),
        site.record(rope.rotate(keys, rotation), slot="1"),
    )


def remember(
    site: Site, keys: Heads, values: Heads, stream: Stream
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put new keys and values behind the earlier ones; all, [batch, heads, so far, head_dim]."""
    return (
        stream.append(f"{site.path}.keys", keys.transpose(1, 2), dim=2),
        stream.append(f"{site.path}.values", values.transpose(1, 2), dim=2),
    )


def weigh(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """The values that each query looks at, averaged; [batch, heads, length, head_dim]."""
    return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)


def merge(site: Site, mixed: torch.Tensor) -> torch.Tensor:
    """What the heads found, together; [batch, heads, length, head_dim] -> [batch, length, dim]."""
    return linear(site / "out_proj", mixed.transpose(1, 2).flatten(-2))
