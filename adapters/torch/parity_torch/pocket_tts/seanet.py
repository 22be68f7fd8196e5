"""The convolutional halves of the codec: waveform to features, and features to waveform."""

from __future__ import annotations

import torch
from torch.nn import functional

from parity_torch.pocket_tts.config import SeanetConfig
from parity_torch.pocket_tts.conv import conv, transposed_conv
from parity_torch.pocket_tts.layers import activation
from parity_torch.pocket_tts.stream import Stream
from parity_torch.pocket_tts.weights import Site

__all__ = ["decode", "encode"]


def encode(site: Site, x: torch.Tensor, config: SeanetConfig, stream: Stream) -> torch.Tensor:
    """[batch, 1, samples] -> [batch, dim, samples / product of the ratios]."""
    layers = _Numbered(site / "model")
    x = conv(layers.next(), x, stream, pad_mode=config.pad_mode)
    for ratio in reversed(config.ratios):
        x = _residual_units(layers, x, config, stream)
        x = activation(layers.next(), functional.elu, x)
        x = conv(layers.next(), x, stream, stride=ratio, pad_mode=config.pad_mode)
    return site.record(_last(layers, x, config, stream))


def decode(site: Site, x: torch.Tensor, config: SeanetConfig, stream: Stream) -> torch.Tensor:
    """[batch, dim, length] -> [batch, 1, length * product of the ratios]."""
    layers = _Numbered(site / "model")
    x = conv(layers.next(), x, stream, pad_mode=config.pad_mode)
    for ratio in config.ratios:
        x = upsample(layers.next(), layers.next(), x, stream, ratio=ratio)
        x = _residual_units(layers, x, config, stream)
    return site.record(_last(layers, x, config, stream))


def upsample(
    before: Site, site: Site, x: torch.Tensor, stream: Stream, *, ratio: int
) -> torch.Tensor:
    """ELU, then `ratio` samples for each; [batch, channels, length] -> [..., length * ratio]."""
    return transposed_conv(site, activation(before, functional.elu, x), stream, stride=ratio)


class _Numbered:
    """Sites `0`, `1`, `2`, ... below one place, in the order they are asked for."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._count = 0

    def next(self) -> Site:
        self._count += 1
        return self._site / (self._count - 1)


def _residual_units(
    layers: _Numbered, x: torch.Tensor, config: SeanetConfig, stream: Stream
) -> torch.Tensor:
    for depth in range(config.residual_layers):
        dilation = config.dilation_base**depth
        x = residual_unit(layers.next(), x, stream, dilation=dilation, pad_mode=config.pad_mode)
    return x


def residual_unit(
    site: Site, x: torch.Tensor, stream: Stream, *, dilation: int, pad_mode: str
) -> torch.Tensor:
    """A dilated and a pointwise convolution around a skip; [batch, channels, length] twice."""
    block = site / "block"
    h = activation(block / 0, functional.elu, x)
    h = conv(block / 1, h, stream, dilation=dilation, pad_mode=pad_mode)
    h = activation(block / 2, functional.elu, h)
    h = conv(block / 3, h, stream, pad_mode=pad_mode)
    return site.record(x + h)


def _last(layers: _Numbered, x: torch.Tensor, config: SeanetConfig, stream: Stream) -> torch.Tensor:
    x = activation(layers.next(), functional.elu, x)
    return conv(layers.next(), x, stream, pad_mode=config.pad_mode)
