"""The port's relative attention: distances are looked up by index, heads stay beside times."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from benchmarks.faults.pairs.conformer.ops import Place, layer_norm, linear, product
from benchmarks.faults.pairs.conformer.reference import DIM, HEADS

__all__ = ["attention", "positions"]

SIZE = DIM // HEADS


def positions(place: Place, time: int) -> torch.Tensor:
    """Waves of the distances from time - 1 down to 1 - time; [2 * time - 1, dim]."""
    distance = torch.arange(2 * time - 1)
    distance = distance - (time - 1) if place.has("distances_reversed") else time - 1 - distance
    if place.has("distance_one_more"):
        distance = distance + 1
    if place.has("distances_absolute"):
        distance = distance.abs()
    base = 1000.0 if place.has("position_base") else 10_000.0
    turns = distance[:, None] * base ** (-torch.arange(0, DIM, 2) / DIM)
    waves = [turns.sin(), turns.cos()]
    if place.has("cosine_first"):
        waves.reverse()
    if place.has("waves_in_halves"):
        table = torch.cat(waves, dim=1)
    else:
        table = torch.stack(waves, dim=2).flatten(1)
    return place.tap(table.to(place.dtype))


def attention(
    place: Place, x: torch.Tensor, table: torch.Tensor, padding: torch.Tensor
) -> torch.Tensor:
    """[batch, time, dim], [2 * time - 1, dim], bool[batch, time] -> [batch, time, dim]."""
    h = layer_norm(place / "norm", x)
    q, k, v = (_heads(place, part) for part in _projected(place, h))
    named = place / "position"
    source = place / "key" if place.has("distances_by_key_map", "layers.1") else named
    p = _heads(place, named.tap(product(place, table, source["weight"])))
    scores = _scores(place, q, k, p).float()
    hidden = padding[:, None, None, :]
    if place.has("padding_zeroed_behind"):
        weights = scores.softmax(dim=-1).masked_fill(hidden, 0.0)
    else:
        scores = scores.masked_fill(hidden, -math.inf)
        weights = torch.exp(scores - scores.logsumexp(dim=-1, keepdim=True))
    mixed = torch.einsum("bhts,bshd->bthd", weights.to(v.dtype), v)
    return place.tap(linear(place / "out", mixed.flatten(2)))


def _projected(place: Place, x: torch.Tensor) -> list[torch.Tensor]:
    """Queries, keys and values, [batch, time, dim] each."""
    sites = [place / name for name in ("query", "key", "value")]
    if place.variant != "fused_qkv":
        return [linear(site, x) for site in sites]
    weight = torch.cat([site["weight"] for site in sites])
    bias = torch.cat([site["bias"] for site in sites])
    parts = (x @ weight.mT + bias).chunk(3, dim=-1)
    return [site.tap(part) for site, part in zip(sites, parts, strict=True)]


def _heads(place: Place, x: torch.Tensor) -> torch.Tensor:
    """[..., dim] -> [..., heads, size]."""
    if place.has("heads_interleaved", "layers.1"):
        return x.unflatten(-1, (SIZE, HEADS)).mT
    return x.unflatten(-1, (HEADS, SIZE))


def _scores(place: Place, q: torch.Tensor, k: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """Of content and distance, scaled; [batch, heads, time, time]."""
    u, v = place["bias_u"], place["bias_v"]
    if place.has("biases_swapped"):
        u, v = v, u
    if place.has("content_bias_lost", "layers.0"):
        u = torch.zeros_like(u)
    if place.has("bias_by_size_and_head", "layers.1"):
        v = v.reshape(SIZE, HEADS).mT
    content = torch.einsum("bthd,bshd->bhts", q + u, k)
    ahead = torch.einsum("bthd,rhd->bhtr", q + v, p)
    scale = SIZE**-0.5
    distance = _by_distance(place, ahead)
    if place.has("distances_unscaled"):
        return content * scale + distance
    return (content + distance) * scale


def _by_distance(place: Place, scores: torch.Tensor) -> torch.Tensor:
    """The score of each query at its distance to each key; [..., time, 2 * time - 1] -> square."""
    time = scores.shape[-2]
    if place.has("shift_omitted", "layers.0"):
        return scores[..., :time]
    if place.variant == "strided_shift":
        flat = functional.pad(scores, (0, 1)).flatten(-2)[..., time - 1 :]
        return functional.pad(flat, (0, time - 1))[..., : 2 * time * time - time].unflatten(
            -1, (time, 2 * time - 1)
        )[..., :time]
    index = torch.arange(time)
    column = time - 1 - index[:, None] + index[None, :]
    return scores.gather(-1, column.expand(*scores.shape[:-1], time))
