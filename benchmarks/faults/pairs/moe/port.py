"""An independent port of the encoder: functions over a dictionary of weights."""

from __future__ import annotations

import math

import torch

from benchmarks.faults.pairs.moe import reference
from benchmarks.faults.pairs.moe.layers import (
    FOLDED,
    Context,
    gelu,
    layer_norm,
    linear,
    position_bias,
    rms_norm,
)
from benchmarks.faults.pairs.moe.mixture import mixture
from parity.tensors import Case

__all__ = ["Port", "make_port"]

LAYERS = 3
HEADS = 4
SIZE = 12


class Port:
    """The encoder with some switches on."""

    name = "moe port"

    def __init__(self, context: Context) -> None:
        self._context = context

    @torch.no_grad()
    def run(self, case: Case) -> dict[str, torch.Tensor]:
        """The embeddings, [batch, 32]."""
        arrays = (torch.from_numpy(case.arrays[name]) for name in ("tokens", "segments", "lengths"))
        return {"embedding": _encode(self._context, *arrays)}


def make_port(faults: frozenset[str], precision: str, variant: str) -> Port:
    """The port with `faults` on, its weights in `precision`, computing as `variant`."""
    dtype: torch.dtype = getattr(torch, precision)
    weights = {name: value.clone() for name, value in reference.build().state_dict().items()}
    if variant == "folded":
        _fold(weights)
    if variant == "scale_folded":
        for name in weights:
            if ".experts." in name and name.endswith("w2.weight"):
                weights[name] *= 1.5
    weights = {name: value.to(dtype) for name, value in weights.items()}
    return Port(Context(weights, faults, variant, dtype))


def _fold(weights: dict[str, torch.Tensor]) -> None:
    """Put the gains and biases of norms into the layers behind them, where those have a bias."""
    for norm, reader in FOLDED.items():
        weight = weights[f"{reader}.weight"]
        weights[f"{reader}.bias"] += weight @ weights[f"{norm}.bias"]
        weights[f"{reader}.weight"] = weight * weights[f"{norm}.weight"]


def _encode(
    c: Context, tokens: torch.Tensor, segments: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    x = _embed(c, tokens, segments)
    bias = position_bias(c, tokens.shape[1])
    states = [x]
    for layer in range(LAYERS):
        states.append(_layer(c, layer, states[-1], bias, lengths))
    read = states[-2] if "layer_before_last" in c.faults else states[-1]
    x = rms_norm(c, "final_norm", read)
    mean = _pool(c, x, lengths)
    if "normalised_before_projection" in c.faults:
        mean = mean / mean.square().sum(dim=-1, keepdim=True).sqrt()
    pooled = linear(c, "pooler.proj", mean)
    c.tap("pooler", pooled)
    left_out = {"embedding_not_normalised", "normalised_before_projection"} & c.faults
    if not left_out:
        length = pooled.float().square().sum(dim=-1, keepdim=True).sqrt()
        pooled = (pooled.float() / length).to(pooled.dtype)
    return c.tap("", pooled)


def _embed(c: Context, tokens: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
    x = c.tap("embeddings.word", c.weights["embeddings.word.weight"][tokens])
    if "segments_left_out" not in c.faults:
        if "segments_all_zero" in c.faults:
            segments = torch.zeros_like(segments)
        if "segments_from_one" in c.faults:
            segments = 1 - segments
        x = x + c.tap("embeddings.segment", c.weights["embeddings.segment.weight"][segments])
    if "embedding_norm_left_out" in c.faults:
        c.tap("embeddings.norm", x)
    else:
        x = layer_norm(c, "embeddings.norm", x)
    if "dropout_as_scale" in c.faults:
        x = x * 0.9
    return c.tap("embeddings", x)


def _pool(c: Context, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The mean of the real tokens; [batch, length, dim] -> [batch, dim]."""
    if "pool_first" in c.faults:
        return x[:, 0]
    if "pool_largest" in c.faults:
        real = torch.arange(x.shape[1])[None, :, None] < lengths[:, None, None]
        return x.masked_fill(~real, float("-inf")).amax(dim=1)
    if "pool_padding_too" in c.faults:
        return x.mean(dim=1)
    return torch.stack(
        [row[:length].mean(dim=0) for row, length in zip(x, lengths.tolist(), strict=True)]
    )


def _layer(
    c: Context, layer: int, x: torch.Tensor, bias: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """One layer; [batch, length, dim] -> the same."""
    path = f"layers.{layer}"
    if "post_norm" in c.faults and layer == 2:
        branch = _scaled(c, path, _attention(c, layer, x, bias, lengths))
        x = layer_norm(c, f"{path}.norm1", x + branch)
    else:
        h = layer_norm(c, f"{path}.norm1", x)
        x = x + _scaled(c, path, _attention(c, layer, h, bias, lengths))
    h = layer_norm(c, f"{path}.norm2", x)
    if layer == 0:
        y = gelu(c, f"{path}.mlp.act", linear(c, f"{path}.mlp.fc1", h))
        y = c.tap(f"{path}.mlp", linear(c, f"{path}.mlp.fc2", y))
    else:
        y = mixture(c, layer, h, x)
    if "residual_dropped" in c.faults and layer == 1:
        x = y
    elif "residual_twice" in c.faults and layer == 2:
        x = x + y + y
    else:
        x = x + y
    if "residual_in_half" in c.faults:
        x = x.bfloat16().to(x.dtype)
    return c.tap(path, x)


def _scaled(c: Context, path: str, x: torch.Tensor) -> torch.Tensor:
    if "layer_scale_lost" in c.faults:
        return c.tap(f"{path}.ls1", x)
    late = "layer_scale_of_layer_before" in c.faults and path == "layers.2"
    gamma = c.weights["layers.1.ls1.gamma" if late else f"{path}.ls1.gamma"]
    return c.tap(f"{path}.ls1", torch.einsum("btd,d->btd", x, gamma))


def _attention(
    c: Context, layer: int, x: torch.Tensor, bias: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    """Self-attention without a scale; [batch, length, dim] -> the same."""
    path = f"layers.{layer}.attn"
    q, k, v = _heads(c, layer, _qkv(c, path, x))
    if "bias_in_first_layer_only" in c.faults and layer:
        bias = torch.zeros_like(bias)
    if "bias_in_base_two" in c.faults:
        bias = bias * math.log(2)  # a kernel on powers of two, to which the bias was not converted
    hidden = torch.arange(x.shape[1])[None, :] >= lengths[:, None]
    if "padding_one_more" in c.faults:
        hidden = torch.arange(x.shape[1])[None, :] >= lengths[:, None] - 1
    if "padding_seen" in c.faults:
        hidden = torch.zeros_like(hidden)
    if "padding_of_first_row" in c.faults:
        hidden = hidden[:1].expand_as(hidden)
    if c.variant == "online":
        mixed = _online(q, k, v, bias, hidden)
    else:
        mixed = torch.einsum(
            "bhqk,bkhd->bqhd", _probabilities(c, q, k, bias, hidden).to(v.dtype), v
        )
    if "merge_without_transpose" in c.faults:
        mixed = mixed.transpose(1, 2).reshape(mixed.shape)
    return c.tap(path, linear(c, f"{path}.out", mixed.flatten(2)))


def _qkv(c: Context, path: str, x: torch.Tensor) -> torch.Tensor:
    if c.variant != "split_qkv":
        return linear(c, f"{path}.qkv", x)
    pairs = zip(
        c.weights[f"{path}.qkv.weight"].chunk(3),
        c.weights[f"{path}.qkv.bias"].chunk(3),
        strict=True,
    )
    return c.tap(f"{path}.qkv", torch.cat([x @ weight.T + bias for weight, bias in pairs], dim=-1))


def _heads(
    c: Context, layer: int, qkv: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values, [batch, length, heads, size] each."""
    if "qkv_by_head" in c.faults and layer == 1:
        q, k, v = qkv.unflatten(-1, (HEADS, 3, SIZE)).unbind(-2)
    else:
        q, k, v = qkv.unflatten(-1, (3, HEADS, SIZE)).unbind(-3)
    if "qkv_order" in c.faults:
        q, k, v = v, q, k
    if "heads_last" in c.faults:
        q, k, v = (
            part.flatten(2).unflatten(-1, (SIZE, HEADS)).transpose(-1, -2) for part in (q, k, v)
        )
    return q, k, v


def _probabilities(
    c: Context, q: torch.Tensor, k: torch.Tensor, bias: torch.Tensor, hidden: torch.Tensor
) -> torch.Tensor:
    """Softmax over the keys, [batch, heads, queries, keys]."""
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k)
    if "attention_scaled" in c.faults:
        scores = scores * SIZE**-0.5
    if "bias_scaled_too" in c.faults:
        bias = bias * SIZE**-0.5
    scores, padding = (scores + bias).float(), hidden[:, None, None, :]
    if "mask_after_softmax" in c.faults:
        return scores.softmax(dim=-1).masked_fill(padding, 0.0)
    scores = scores.masked_fill(padding, 0.0 if "padding_zeroed" in c.faults else float("-inf"))
    return torch.exp(scores - scores.logsumexp(dim=-1, keepdim=True))


def _online(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor, hidden: torch.Tensor
) -> torch.Tensor:
    """Attention key by key with a running maximum; [batch, queries, heads, size]."""
    top = torch.full((*q.shape[:3], 1), -1e30)
    total, mixed = torch.zeros_like(top), torch.zeros(q.shape)
    for at in range(k.shape[1]):
        score = (q * k[:, at, None]).sum(dim=-1, keepdim=True) + bias[:, :, at].T[None, :, :, None]
        score = score.float().masked_fill(hidden[:, at, None, None, None], float("-inf"))
        above = torch.maximum(top, score)
        weight, decay = torch.exp(score - above), torch.exp(top - above)
        mixed, total = mixed * decay + weight * v[:, at, None].float(), total * decay + weight
        top = above
    return (mixed / total).to(v.dtype)
