"""The port's attention: heads stay beside positions, groups are an axis, keys carry positions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from benchmarks.faults.pairs.gqa_decoder.layers import Context, linear, rms_norm

__all__ = ["Cache", "attention"]

HEADS = 6
GROUPS = 3
SIZE = 16
SCALE = 24.0**-0.5
WINDOW = {0: 1 << 30, 1: 5, 2: 1 << 30}


@dataclass(slots=True)
class Cache:
    """What was seen: by layer keys and values, [batch, length, groups, size], and positions."""

    keys: dict[int, torch.Tensor] = field(default_factory=dict)
    values: dict[int, torch.Tensor] = field(default_factory=dict)
    positions: dict[int, torch.Tensor] = field(default_factory=dict)
    seen: int = 0
    room: int = 0


def attention(
    c: Context, layer: int, x: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor], cache: Cache
) -> torch.Tensor:
    """Self-attention of one layer; [batch, length, dim] -> the same."""
    path = f"layers.{layer}.self_attn"
    q, k, v = _projections(c, path, x)
    if "norm_after_rope" in c.faults:
        q = _head_norm(c, f"{path}.q_norm", layer, _rotate(c, q, angles))
        k = _head_norm(c, f"{path}.k_norm", layer, _rotate(c, k, angles))
        bare = k
    else:
        q = _rotate(c, _head_norm(c, f"{path}.q_norm", layer, q), angles)
        bare = _head_norm(c, f"{path}.k_norm", layer, k)
        k = bare if "rope_query_only" in c.faults and layer == 1 else _rotate(c, bare, angles)
    if "values_turned" in c.faults and layer == 2:
        v = _rotate(c, v, angles)
    positions = torch.arange(cache.seen, cache.seen + x.shape[1])
    keys, values, where = _remember(c, layer, cache, _New(k, bare, v, positions))
    if "gqa_tile" in c.faults or c.variant == "gqa_tile":
        q = q.unflatten(2, (HEADS // GROUPS, GROUPS)).transpose(2, 3)
    else:
        q = q.unflatten(2, (GROUPS, HEADS // GROUPS))
    seen = _visible(c, layer, positions, where)
    if c.variant == "online":
        mixed = _online(q, keys, values, seen)
    else:
        mixed = torch.einsum(
            "bkgts,bskd->btkgd", _probabilities(c, layer, q, keys, seen).to(q.dtype), values
        )
    if "gqa_tile" in c.faults or c.variant == "gqa_tile":
        mixed = mixed.transpose(2, 3)
    mixed = mixed.flatten(2, 3)
    if "merged_channels_outside" in c.faults and layer == 0:
        mixed = mixed.mT
    if "merge_without_transpose" in c.faults:
        mixed = mixed.transpose(1, 2).reshape(mixed.shape)
    out = linear(c, f"{path}.o_proj", mixed.flatten(2))
    return c.tap(path, out)


def _projections(
    c: Context, path: str, x: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values by head, [batch, length, heads or groups, size]."""
    if c.variant == "fused_qkv" or "fused_by_group" in c.faults:
        names = ("q_proj", "k_proj", "v_proj")
        weight = torch.cat([c.weights[f"{path}.{name}.weight"] for name in names])
        bias = torch.cat([c.weights[f"{path}.{name}.bias"] for name in names])
        if "fused_by_group" in c.faults:
            weight, bias = weight[_grouped_rows()], bias[_grouped_rows()]
        parts = (x @ weight.T + bias).split((HEADS * SIZE, GROUPS * SIZE, GROUPS * SIZE), dim=-1)
        flat = [c.tap(f"{path}.{name}", part) for name, part in zip(names, parts, strict=True)]
    else:
        flat = [linear(c, f"{path}.{name}_proj", x) for name in "qkv"]
    q, k, v = (part.unflatten(-1, (-1, SIZE)) for part in flat)
    return q, k, v


def _grouped_rows() -> torch.Tensor:
    """Rows of a fused weight that stores a group's queries, key and value together."""
    heads = []
    for group in range(GROUPS):
        heads += [2 * group, 2 * group + 1, HEADS + group, HEADS + GROUPS + group]
    return torch.cat([torch.arange(head * SIZE, (head + 1) * SIZE) for head in heads])


def _head_norm(c: Context, path: str, layer: int, x: torch.Tensor) -> torch.Tensor:
    eps = 1e-5 if "one_eps_for_all" in c.faults else 1e-6
    if "qk_norm_left_out" in c.faults:
        return c.tap(path, x)
    if "qk_norm_over_all_heads" in c.faults:
        wide = x.float().flatten(2)
        wide = wide / torch.sqrt(wide.square().mean(-1, keepdim=True) + eps)
        gain = 1 + c.weights[f"{path}.weight"].float()
        return c.tap(path, (wide.view_as(x) * gain).to(x.dtype))
    if "key_norm_by_query_weight" in c.faults and layer == 2 and path.endswith("k_norm"):
        return rms_norm(c, path, x, eps, weight=path.replace("k_norm", "q_norm"))
    return rms_norm(c, path, x, eps)


def _rotate(c: Context, x: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Turn pairs of channels by their position's angles; [batch, length, heads, size]."""
    cos, sin = (table[None, :, None, : SIZE // 2] for table in angles)
    if "rope_along_heads" in c.faults:
        # The table was cut by axis 2, which is that of the heads in this layout.
        rows = torch.arange(x.shape[2]) % angles[0].shape[0]
        cos, sin = (table[rows][None, None, :, : SIZE // 2] for table in angles)
    if c.variant == "interleaved":
        cos, sin = (table[None, :, None, ::2] for table in angles)
    if "rope_sign" in c.faults:
        sin = -sin
    if "rope_interleaved" in c.faults or c.variant == "interleaved":
        a, b = x[..., ::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)
    if "rope_partial" in c.faults:
        half = SIZE // 4
        a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
        cos, sin = cos[..., :half], sin[..., :half]
        return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], dim=-1)
    a, b = x[..., : SIZE // 2], x[..., SIZE // 2 :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


class _New(NamedTuple):
    """What a call adds: keys as rotated and before it, values, positions."""

    k: torch.Tensor
    bare: torch.Tensor
    v: torch.Tensor
    positions: torch.Tensor


def _remember(
    c: Context, layer: int, cache: Cache, new: _New
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a query may look at: keys, values and their positions, of the past and of now."""
    k, bare, v, positions = new
    stored = bare if "cache_before_rope" in c.faults else k
    whole_k, whole_v, where, new_k = k, v, positions, stored
    if layer in cache.keys:
        past_k, past_v, past = cache.keys[layer], cache.values[layer], cache.positions[layer]
        if "cache_overwritten" in c.faults and cache.seen > cache.room:
            past_k, past_v, past = past_k[:, :-1], past_v[:, :-1], past[:-1]
        if "cache_in_half" in c.faults:
            past_k, past_v = past_k.bfloat16().to(k.dtype), past_v.bfloat16().to(v.dtype)
        whole_k, whole_v = torch.cat([past_k, k], dim=1), torch.cat([past_v, v], dim=1)
        new_k, where = torch.cat([past_k, stored], dim=1), torch.cat([past, positions])
    kept_v = whole_v
    if "cache_first_slot_zero" in c.faults and layer == 2:
        new_k, kept_v = new_k.clone(), kept_v.clone()
        new_k[:, 0], kept_v[:, 0] = 0, 0
    cache.keys[layer], cache.values[layer], cache.positions[layer] = new_k, kept_v, where
    if "static_cache_unmasked" in c.faults and k.shape[1] == 1:
        spare = torch.zeros_like(whole_k[:, : max(0, 2 * cache.room - where.numel())])
        further = torch.arange(where.numel(), where.numel() + spare.shape[1])
        return (
            torch.cat([whole_k, spare], dim=1),
            torch.cat([whole_v, spare], dim=1),
            torch.cat([where, further]),
        )
    return whole_k, whole_v, where


def _visible(c: Context, layer: int, at: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Whether a query may look at a key; bool[length, keys]."""
    age = at[:, None] - where[None, :]
    window = WINDOW[layer]
    if "window_in_other_layers" in c.faults:
        window = WINDOW[0] if layer == 1 else WINDOW[1]
    if "window_ignored" in c.faults:
        window = WINDOW[0]
    if "window_one_more" in c.faults and layer == 1:
        window += 1
    seen = age < window
    if "causal_missing" in c.faults:
        return seen
    if "static_cache_unmasked" in c.faults and at.numel() == 1:
        return seen  # a single query was thought to need no mask
    return seen & (age >= 0)


def _probabilities(
    c: Context, layer: int, q: torch.Tensor, keys: torch.Tensor, seen: torch.Tensor
) -> torch.Tensor:
    """Softmax of the scores, [batch, groups, in group, length, keys]."""
    scale = SCALE
    if "scale_by_head_size" in c.faults:
        scale = SIZE**-0.5
    if "scale_twice" in c.faults and layer == 1:
        scale = SCALE * SCALE
    if "powers_of_two" in c.faults:
        scale = SCALE * math.log(2)  # a kernel on powers of two, given scores for powers of e
    scores = torch.einsum("btkgd,bskd->bkgts", q, keys) * scale
    if "attention_capped" in c.faults:
        scores = 20 * torch.tanh(scores / 20)
    scores = scores.float()
    if "mask_added_as_bool" in c.faults:
        scores = scores + seen
    else:
        scores = scores.masked_fill(~seen, float("-inf"))
    axis = -2 if "softmax_over_queries" in c.faults and layer == 0 else -1
    if "softmax_in_half" in c.faults:
        return scores.bfloat16().softmax(dim=axis).to(q.dtype)
    weights = (scores - scores.amax(dim=axis, keepdim=True)).exp()
    total = weights.sum(dim=axis, keepdim=True)
    if "softmax_plus_one" in c.faults:
        total = total + (-scores.amax(dim=axis, keepdim=True)).exp()
    return weights / total


def _online(
    q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, seen: torch.Tensor
) -> torch.Tensor:
    """Attention over blocks of keys with a running maximum; [batch, length, groups, in, size]."""
    shape = (*q.shape[:1], *q.shape[2:4], q.shape[1], 1)
    top = q.new_full(shape, -1e30, dtype=torch.float32)
    total, mixed = torch.zeros_like(top), torch.zeros((*shape[:-1], SIZE))
    for start in range(0, keys.shape[1], 4):
        block = slice(start, start + 4)
        scores = torch.einsum("btkgd,bskd->bkgts", q, keys[:, block]).float() * SCALE
        scores = scores.masked_fill(~seen[:, block], float("-inf"))
        above = torch.maximum(top, scores.amax(-1, keepdim=True))
        weights, decay = (scores - above).exp(), (top - above).exp()
        part = torch.einsum("bkgts,bskd->bkgtd", weights, values[:, block].float())
        mixed, total = mixed * decay + part, total * decay + weights.sum(-1, keepdim=True)
        top = above
    return (mixed / total).permute(0, 3, 1, 2, 4).to(q.dtype)
