"""Faults planted when the engine was made, in all parts of the port."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from benchmarks.faults.pairs.pocket_tts.planting import (
    Change,
    Function,
    around,
    around_at,
    at,
    instead,
    overlaid,
)
from parity_torch.pocket_tts import (
    attention,
    conv,
    flow_net,
    generate,
    layers,
    rope,
    seanet,
    transformer,
)
from parity_torch.pocket_tts.attention import Window
from parity_torch.pocket_tts.model import Model
from parity_torch.pocket_tts.stream import Stream
from parity_torch.pocket_tts.weights import Site

__all__ = ["SWITCHES"]

LANGUAGE_MODEL = "flow_lm.transformer"
DECODER = "mimi.decoder_transformer.transformer"
ENCODER = "mimi.encoder_transformer.transformer"


def sees_next(start: int, length: int, context: int | None) -> torch.Tensor:
    """A query sees the key behind its own; bool[length, start + length]."""
    queries, keys = torch.arange(start, start + length), torch.arange(start + length)
    distance = queries[:, None] - keys[None, :]
    visible = distance >= -1
    return visible if context is None else visible & (distance < context)


def skips_one(original: Function) -> Function:
    """Passes behind the first begin one position further."""

    def rotation(start: int, length: int, **others: Any) -> Any:
        return original(start + 1 if start else start, length, **others)

    return rotation


def no_activation(layer: Site, x: torch.Tensor) -> torch.Tensor:
    """Two linear layers; [batch, length, dim] twice."""
    return layers.linear(layer / "linear2", layers.linear(layer / "linear1", x))


def second_skip_dropped(
    layer: Site, rope_site: Site, x: torch.Tensor, *, heads: int, window: Window, stream: Stream
) -> torch.Tensor:
    """The feed-forward part alone goes on; [batch, length, dim] twice."""
    h = layers.layer_norm(layer / "norm1", x, eps=transformer.NORM_EPS)
    update = attention.attend(
        layer / "self_attn", rope_site, h, heads=heads, window=window, stream=stream
    )
    x = x + transformer.scaled(layer / "layer_scale_1", update)
    h = layers.layer_norm(layer / "norm2", x, eps=transformer.NORM_EPS)
    update = transformer.feed_forward(layer, h)
    return layer.record(transformer.scaled(layer / "layer_scale_2", update))


def _ones(name: str) -> Function:
    """A norm whose factors were not loaded."""

    def make(original: Function) -> Function:
        def norm(site: Site, x: torch.Tensor, **others: Any) -> torch.Tensor:
            faulty = overlaid(site, **{name: torch.ones_like(site[name])})
            y: torch.Tensor = original(faulty, x, **others)
            return y

        return norm

    return make


def without_condition(
    site: Site,
    condition: torch.Tensor,
    start: torch.Tensor,
    target: torch.Tensor,
    x: torch.Tensor,
    *,
    depth: int,
) -> torch.Tensor:
    """Times alone steer the network; [batch, latent]."""
    x = layers.linear(site / "input_proj", x)
    layers.linear(site / "cond_embed", condition)
    context = flow_net.time_context(site, start, target)
    for index in range(depth):
        x = flow_net.residual_block(site / "res_blocks" / index, x, context)
    return site.record(flow_net.final_layer(site / "final_layer", x, context))


def normalised_again(model: Model, latents: torch.Tensor) -> torch.Tensor:
    """Mean off and over the deviation, as before training; any shape."""
    return (latents - model.flow_lm["emb_mean"]) / model.flow_lm["emb_std"]


def tail_halved(original: Function) -> Function:
    """Half of the overlap is kept for the next call."""

    def faulty(site: Site, x: torch.Tensor, stream: Stream, **others: Any) -> torch.Tensor:
        y: torch.Tensor = original(site, x, stream, **others)
        stream.tensors[site.path] = 0.5 * stream.tensors[site.path]
        return y

    return faulty


def leaky(original: Function) -> Function:
    """Leaky ReLU where another function was asked for."""

    def activation(site: Site, _function: Function, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = original(site, partial(functional.leaky_relu, negative_slope=0.2), x)
        return y

    return activation


def sum_scaled(
    site: Site, x: torch.Tensor, stream: Stream, *, dilation: int, pad_mode: str
) -> torch.Tensor:
    """Skip and branch over the root of two; [batch, channels, length] twice."""
    block = site / "block"
    h = layers.activation(block / 0, functional.elu, x)
    h = conv.conv(block / 1, h, stream, dilation=dilation, pad_mode=pad_mode)
    h = layers.activation(block / 2, functional.elu, h)
    h = conv.conv(block / 3, h, stream, pad_mode=pad_mode)
    return site.record((x + h) * math.sqrt(0.5))


SWITCHES: dict[str, tuple[Change, ...]] = {
    "sees_next": (instead(attention, "causal_mask", sees_next),),
    "rope_skips_one": (around(rope, "rotation", skips_one),),
    "gelu_left_out": (
        at(transformer, "feed_forward", no_activation, f"{LANGUAGE_MODEL}.layers.0"),
    ),
    "feed_forward_skip_dropped": (
        at(transformer, "transformer_layer", second_skip_dropped, f"{ENCODER}.layers.0"),
    ),
    "norm_weight_lost": (
        around_at(layers, "layer_norm", _ones("weight"), f"{DECODER}.layers.*.norm1"),
    ),
    "alpha_lost": (around_at(layers, "rms_norm", _ones("alpha"), "*.time_embed.?.mlp.3"),),
    "condition_left_out": (instead(flow_net, "flow_direction", without_condition),),
    "normalised_again": (instead(generate, "denormalise", normalised_again),),
    "tail_halved": (around_at(conv, "transposed_conv", tail_halved, "mimi.upsample.convtr"),),
    "leaky_relu": (around_at(layers, "activation", leaky, "mimi.decoder.model.3.block.0"),),
    "unit_sum_scaled": (at(seanet, "residual_unit", sum_scaled, "mimi.decoder.model.6"),),
}
