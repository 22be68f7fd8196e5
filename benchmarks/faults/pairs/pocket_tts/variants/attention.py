"""Which keys are seen, and what is done with heads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional

from benchmarks.faults.pairs.pocket_tts.planting import Change, Function, around_at, at
from parity_torch.pocket_tts import attention, layers, transformer
from parity_torch.pocket_tts.attention import Window
from parity_torch.pocket_tts.config import TransformerConfig
from parity_torch.pocket_tts.stream import Stream
from parity_torch.pocket_tts.weights import Site

__all__ = ["SWITCHES"]

Heads = torch.Tensor  # [batch, length, heads, head_dim]

LANGUAGE_MODEL = "flow_lm.transformer"
DECODER = "mimi.decoder_transformer.transformer"
ENCODER = "mimi.encoder_transformer.transformer"
SHORT_CONTEXT = 32
CONTEXT_AND_ONE = 251


def future_seen(original: Function) -> Function:
    """Keys behind a query are seen like those before it."""

    def attend(site: Site, rope_site: Site, x: torch.Tensor, **others: Any) -> torch.Tensor:
        window: Window = others.pop("window")
        length, total = window.mask.shape
        future = torch.ones_like(window.mask).triu(total - length + 1)
        faulty = replace(window, mask=window.mask | future)
        y: torch.Tensor = original(site, rope_site, x, window=faulty, **others)
        return y

    return attend


def _with_context(context: int | None) -> Function:
    def make(original: Function) -> Function:
        def faulty(
            site: Site, x: torch.Tensor, config: TransformerConfig, stream: Stream
        ) -> torch.Tensor:
            y: torch.Tensor = original(site, x, replace(config, context=context), stream)
            return y

        return faulty

    return make


def keys_first(site: Site, x: torch.Tensor, heads: int) -> tuple[Heads, Heads, Heads]:
    """The fused projection read as keys, queries, values."""
    keys, queries, values = attention.split_heads(layers.linear(site / "in_proj", x), heads)
    return queries, keys, values


def head_by_head(site: Site, x: torch.Tensor, heads: int) -> tuple[Heads, Heads, Heads]:
    """The fused projection read as one head's query, key and value, then the next head's."""
    fused = layers.linear(site / "in_proj", x)
    queries, keys, values = fused.view(*x.shape[:2], heads, 3, -1).unbind(3)
    return queries, keys, values


def merged_as_it_lies(site: Site, mixed: torch.Tensor) -> torch.Tensor:
    """[batch, heads, length, head_dim] read as [batch, length, dim]: right for one position."""
    batch, _, length, _ = mixed.shape
    return layers.linear(site / "out_proj", mixed.reshape(batch, length, -1))


def in_half(original: Function) -> Function:
    """Keys and values go through the cache in half precision."""

    def remember(
        site: Site, keys: Heads, values: Heads, stream: Stream
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rounded = (piece.half().to(piece.dtype) for piece in (keys, values))
        all_keys, all_values = original(site, *rounded, stream)
        return all_keys, all_values

    return remember


def _attend(
    site: Site, rope_site: Site, x: torch.Tensor, *, heads: int, window: Window, stream: Stream
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, all keys and all values, [batch, heads, length, head_dim] each."""
    queries, keys, values = attention.project(site, x, heads)
    queries, keys = attention.turn(rope_site, queries, keys, window.turn)
    return queries.transpose(1, 2), *attention.remember(site, keys, values, stream)


def unscaled(
    site: Site, rope_site: Site, x: torch.Tensor, *, heads: int, window: Window, stream: Stream
) -> torch.Tensor:
    """Scores not divided by the root of a head's width; [batch, length, dim] twice."""
    qkv = _attend(site, rope_site, x, heads=heads, window=window, stream=stream)
    mixed = functional.scaled_dot_product_attention(*qkv, attn_mask=window.mask, scale=1.0)
    return site.record(attention.merge(site, mixed))


def over_queries(
    site: Site, rope_site: Site, x: torch.Tensor, *, heads: int, window: Window, stream: Stream
) -> torch.Tensor:
    """Softmax along the queries, where it should go along the keys; [batch, length, dim] twice."""
    queries, keys, values = _attend(site, rope_site, x, heads=heads, window=window, stream=stream)
    scores = queries @ keys.mT / queries.shape[-1] ** 0.5
    weights = scores.masked_fill(~window.mask, -torch.inf).softmax(dim=-2)
    return site.record(attention.merge(site, weights @ values))


_ACAUSAL = around_at(attention, "attend", future_seen, f"{DECODER}.layers.*")
_ENDLESS = around_at(transformer, "transformer", _with_context(None), DECODER)

SWITCHES: dict[str, tuple[Change, ...]] = {
    "story18": (_ACAUSAL, _ENDLESS),
    "story18a": (_ACAUSAL,),
    "story18b": (_ENDLESS,),
    "context_and_one": (
        around_at(transformer, "transformer", _with_context(CONTEXT_AND_ONE), DECODER),
    ),
    "context_short": (
        around_at(transformer, "transformer", _with_context(SHORT_CONTEXT), LANGUAGE_MODEL),
    ),
    "keys_first": (at(attention, "project", keys_first, f"{LANGUAGE_MODEL}.layers.1.*"),),
    "qkv_head_by_head": (at(attention, "project", head_by_head, f"{ENCODER}.layers.0.*"),),
    "heads_not_transposed": (
        at(attention, "merge", merged_as_it_lies, f"{LANGUAGE_MODEL}.layers.0.*"),
    ),
    "attention_unscaled": (at(attention, "attend", unscaled, f"{DECODER}.layers.*"),),
    "softmax_over_queries": (
        at(attention, "attend", over_queries, f"{LANGUAGE_MODEL}.layers.0.*"),
    ),
    "cache_in_half": (around_at(attention, "remember", in_half, f"{LANGUAGE_MODEL}.*"),),
}
