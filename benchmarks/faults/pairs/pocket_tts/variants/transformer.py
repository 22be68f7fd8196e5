"""Norms, feed-forward parts and skips of the three transformers."""

from __future__ import annotations

import torch
from torch.nn import functional

from benchmarks.faults.pairs.pocket_tts.planting import (
    Change,
    Function,
    around_at,
    at,
    overlaid,
    without,
)
from parity_torch.pocket_tts import attention, layers, transformer
from parity_torch.pocket_tts.attention import Window
from parity_torch.pocket_tts.stream import Stream
from parity_torch.pocket_tts.weights import Site

__all__ = ["SWITCHES"]

LANGUAGE_MODEL = "flow_lm.transformer"
DECODER = "mimi.decoder_transformer.transformer"
ENCODER = "mimi.encoder_transformer.transformer"
EPS = 1e-3


def rms(site: Site, x: torch.Tensor, *, eps: float) -> torch.Tensor:
    """RMSNorm with the weight that it finds; a bias it does not look for; any shape."""
    return site.record(site["weight"] * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps))


def left_out(_site: Site, x: torch.Tensor, *, eps: float) -> torch.Tensor:
    """No norm; there is no such module, so nothing is recorded; any shape."""
    del eps
    return x


def large_eps(original: Function) -> Function:
    """Another eps."""

    def layer_norm(site: Site, x: torch.Tensor, *, eps: float) -> torch.Tensor:
        del eps
        y: torch.Tensor = original(site, x, eps=EPS)
        return y

    return layer_norm


def bias_lost(original: Function) -> Function:
    """No bias."""

    def layer_norm(site: Site, x: torch.Tensor, *, eps: float) -> torch.Tensor:
        y: torch.Tensor = original(without(site, "bias"), x, eps=eps)
        return y

    return layer_norm


def first_norm_again(original: Function) -> Function:
    """The second norm of a layer with the weights of the first."""

    def layer_norm(site: Site, x: torch.Tensor, *, eps: float) -> torch.Tensor:
        sibling = Site(site.weights, site.path.replace("norm2", "norm1"))
        faulty = overlaid(site, weight=sibling["weight"], bias=sibling["bias"])
        y: torch.Tensor = original(faulty, x, eps=eps)
        return y

    return layer_norm


def first_scale_again(original: Function) -> Function:
    """The feed-forward branch with the attention branch's factors."""

    def layer_scale(site: Site, x: torch.Tensor) -> torch.Tensor:
        sibling = Site(site.weights, site.path.replace("layer_scale_2", "layer_scale_1"))
        y: torch.Tensor = original(overlaid(site, scale=sibling["scale"]), x)
        return y

    return layer_scale


def scale_left_out(_site: Site, x: torch.Tensor) -> torch.Tensor:
    """A branch added as it is; there is no such module, so nothing is recorded; any shape."""
    return x


def exact_gelu(layer: Site, x: torch.Tensor) -> torch.Tensor:
    """The form of GELU with erf; [batch, length, dim] twice."""
    hidden = layers.linear(layer / "linear1", x)
    return layers.linear(layer / "linear2", functional.gelu(hidden))


def quick_gelu(layer: Site, x: torch.Tensor) -> torch.Tensor:
    """The form of GELU with a sigmoid; [batch, length, dim] twice."""
    hidden = layers.linear(layer / "linear1", x)
    return layers.linear(layer / "linear2", hidden * torch.sigmoid(1.702 * hidden))


def relu(layer: Site, x: torch.Tensor) -> torch.Tensor:
    """ReLU, the default of torch's own transformer layers; [batch, length, dim] twice."""
    hidden = layers.linear(layer / "linear1", x)
    return layers.linear(layer / "linear2", functional.relu(hidden))


def _attention(
    layer: Site, rope_site: Site, x: torch.Tensor, *, heads: int, window: Window, stream: Stream
) -> torch.Tensor:
    h = layers.layer_norm(layer / "norm1", x, eps=transformer.NORM_EPS)
    update = attention.attend(
        layer / "self_attn", rope_site, h, heads=heads, window=window, stream=stream
    )
    return transformer.scaled(layer / "layer_scale_1", update)


def _feed_forward(layer: Site, x: torch.Tensor) -> torch.Tensor:
    h = layers.layer_norm(layer / "norm2", x, eps=transformer.NORM_EPS)
    return transformer.scaled(layer / "layer_scale_2", transformer.feed_forward(layer, h))


def first_skip_dropped(
    layer: Site, rope_site: Site, x: torch.Tensor, *, heads: int, window: Window, stream: Stream
) -> torch.Tensor:
    """What attention found goes on without what went in; [batch, length, dim] twice."""
    x = _attention(layer, rope_site, x, heads=heads, window=window, stream=stream)
    return layer.record(x + _feed_forward(layer, x))


def side_by_side(
    layer: Site, rope_site: Site, x: torch.Tensor, *, heads: int, window: Window, stream: Stream
) -> torch.Tensor:
    """Both branches read what went in, as in GPT-J; [batch, length, dim] twice."""
    update = _attention(layer, rope_site, x, heads=heads, window=window, stream=stream)
    return layer.record(x + update + _feed_forward(layer, x))


SWITCHES: dict[str, tuple[Change, ...]] = {
    "story03": (
        at(layers, "layer_norm", rms, f"{LANGUAGE_MODEL}.layers.*.norm?", "flow_lm.out_norm"),
    ),
    "out_norm_left_out": (at(layers, "layer_norm", left_out, "flow_lm.out_norm"),),
    "norm_eps": (around_at(layers, "layer_norm", large_eps, f"{DECODER}.*"),),
    "norm_bias_lost": (around_at(layers, "layer_norm", bias_lost, f"{ENCODER}.*.norm1"),),
    "norm_of_sibling": (
        around_at(layers, "layer_norm", first_norm_again, f"{LANGUAGE_MODEL}.layers.1.norm2"),
    ),
    "layer_scale_left_out": (
        at(layers, "layer_scale", scale_left_out, f"{DECODER}.*.layer_scale_1"),
    ),
    "layer_scale_of_sibling": (
        around_at(layers, "layer_scale", first_scale_again, f"{ENCODER}.*.layer_scale_2"),
    ),
    "gelu_exact": (at(transformer, "feed_forward", exact_gelu, f"{LANGUAGE_MODEL}.*"),),
    "gelu_quick": (at(transformer, "feed_forward", quick_gelu, f"{DECODER}.layers.0"),),
    "relu": (at(transformer, "feed_forward", relu, f"{ENCODER}.*"),),
    "attention_skip_dropped": (
        at(transformer, "transformer_layer", first_skip_dropped, f"{LANGUAGE_MODEL}.layers.1"),
    ),
    "branches_side_by_side": (
        at(transformer, "transformer_layer", side_by_side, f"{DECODER}.layers.0"),
    ),
}
