"""The pre-norm transformer that the language model and both halves of the codec share."""

from __future__ import annotations

import torch
from torch.nn import functional

from parity_torch.pocket_tts import attention, rope
from parity_torch.pocket_tts.config import TransformerConfig
from parity_torch.pocket_tts.layers import identity, layer_norm, layer_scale, linear
from parity_torch.pocket_tts.stream import Stream
from parity_torch.pocket_tts.weights import Site

__all__ = ["projected_transformer", "transformer"]

NORM_EPS = 1e-5


def gelu(x: torch.Tensor) -> torch.Tensor:
    """The tanh form of GELU, which the reference has used since its version 3.1."""
    return functional.gelu(x, approximate="tanh")


def transformer(
    site: Site, x: torch.Tensor, config: TransformerConfig, stream: Stream
) -> torch.Tensor:
    """Run new positions through all layers and move the stream on; [batch, length, dim] twice."""
    length = x.shape[1]
    window = attention.Window(
        rope.rotation(
            stream.position,
            length,
            head_dim=config.head_dim,
            max_period=config.max_period,
            dtype=x.dtype,
        ),
        attention.causal_mask(stream.position, length, config.context),
    )
    for index in range(config.layers):
        layer, rope_site = site / "layers" / index, site / "rope"
        x = transformer_layer(layer, rope_site, x, heads=config.heads, window=window, stream=stream)
    stream.position += length
    return site.record(x)


def transformer_layer(
    layer: Site,
    rope_site: Site,
    x: torch.Tensor,
    *,
    heads: int,
    window: attention.Window,
    stream: Stream,
) -> torch.Tensor:
    """Attention, then the feed-forward part, each around a skip; [batch, length, dim] twice."""
    update = attention.attend(
        layer / "self_attn",
        rope_site,
        layer_norm(layer / "norm1", x, eps=NORM_EPS),
        heads=heads,
        window=window,
        stream=stream,
    )
    x = x + scaled(layer / "layer_scale_1", update)
    update = feed_forward(layer, layer_norm(layer / "norm2", x, eps=NORM_EPS))
    return layer.record(x + scaled(layer / "layer_scale_2", update))


def feed_forward(layer: Site, x: torch.Tensor) -> torch.Tensor:
    """Widening, GELU, narrowing; [batch, length, dim] twice."""
    return linear(layer / "linear2", gelu(linear(layer / "linear1", x)))


def scaled(site: Site, x: torch.Tensor) -> torch.Tensor:
    """A residual branch as it is added; only the codec's have learnt factors."""
    return layer_scale(site, x) if "scale" in site else identity(site, x)


def projected_transformer(
    site: Site, x: torch.Tensor, config: TransformerConfig, stream: Stream
) -> torch.Tensor:
    """The codec's transformer, which takes and gives channels first; [batch, dim, length] twice."""
    x = x.transpose(1, 2)
    if "weight" in site / "input_proj":
        x = linear(site / "input_proj", x)
    x = transformer(site / "transformer", x, config, stream)
    output = site / "output_projs" / 0
    x = linear(output, x) if "weight" in output else identity(output, x)
    return site.record(x.transpose(1, 2))
