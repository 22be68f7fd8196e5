"""The codec: convolutions, their streaming state, and activations."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.nn import functional

from benchmarks.faults.pairs.pocket_tts.planting import (
    Change,
    Function,
    around_at,
    at,
    instead,
    overlaid,
    without,
)
from parity_torch.pocket_tts import conv, layers, seanet, transformer
from parity_torch.pocket_tts.config import TransformerConfig
from parity_torch.pocket_tts.stream import Stream
from parity_torch.pocket_tts.weights import Site

__all__ = ["SWITCHES"]

Elementwise = Function

DECODER = "mimi.decoder.model"
ENCODER = "mimi.encoder.model"
ALPHA = 0.5
DILATION = 2


# Activations.


def _as(function: Elementwise) -> Function:
    """`function` where another was asked for."""

    def make(original: Function) -> Function:
        def activation(site: Site, _function: Elementwise, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = original(site, function, x)
            return y

        return activation

    return make


def left_out(_site: Site, _function: Elementwise, x: torch.Tensor) -> torch.Tensor:
    """Nothing; there is no such module, so nothing is recorded; any shape."""
    return x


def bounded(original: Function) -> Function:
    """A tanh behind the last convolution."""

    def last(site: Site, x: torch.Tensor, stream: Stream, **others: Any) -> torch.Tensor:
        return torch.tanh(original(site, x, stream, **others))

    return last


def activation_behind(
    before: Site, site: Site, x: torch.Tensor, stream: Stream, *, ratio: int
) -> torch.Tensor:
    """Upsampling, then ELU; [batch, channels, length] -> [..., length * ratio]."""
    x = conv.transposed_conv(site, x, stream, stride=ratio)
    return layers.activation(before, functional.elu, x)


def unit_skip_dropped(
    site: Site, x: torch.Tensor, stream: Stream, *, dilation: int, pad_mode: str
) -> torch.Tensor:
    """The branch alone goes on; [batch, channels, length] twice."""
    block = site / "block"
    h = layers.activation(block / 0, functional.elu, x)
    h = conv.conv(block / 1, h, stream, dilation=dilation, pad_mode=pad_mode)
    h = layers.activation(block / 2, functional.elu, h)
    return site.record(conv.conv(block / 3, h, stream, pad_mode=pad_mode))


# Convolutions.


def _with(**settings: Any) -> Function:
    """Other settings of a convolution."""

    def make(original: Function) -> Function:
        def faulty(site: Site, x: torch.Tensor, stream: Stream, **others: Any) -> torch.Tensor:
            y: torch.Tensor = original(site, x, stream, **{**others, **settings})
            return y

        return faulty

    return make


def forgetful(original: Function) -> Function:
    """What the call before left for this one is lost."""

    def faulty(site: Site, x: torch.Tensor, _stream: Stream, **others: Any) -> torch.Tensor:
        y: torch.Tensor = original(site, x, Stream(), **others)
        return y

    return faulty


def in_half(original: Function) -> Function:
    """What one call leaves for the next is kept in half precision."""

    def faulty(site: Site, x: torch.Tensor, stream: Stream, **others: Any) -> torch.Tensor:
        y: torch.Tensor = original(site, x, stream, **others)
        if (left := stream.tensors.get(site.path)) is not None:
            stream.tensors[site.path] = left.half().to(left.dtype)
        return y

    return faulty


def _flipped(name: str) -> Function:
    """The kernel from its end to its start: correlation taken for convolution."""

    def make(original: Function) -> Function:
        def faulty(site: Site, x: torch.Tensor, stream: Stream, **others: Any) -> torch.Tensor:
            weight = (site / name)["weight"].flip(-1)
            changed = overlaid(site, **{f"{name}_weight": weight})
            y: torch.Tensor = original(changed, x, stream, **others)
            return y

        return faulty

    return make


def bias_lost(original: Function) -> Function:
    """No bias."""

    def faulty(site: Site, x: torch.Tensor, stream: Stream, **others: Any) -> torch.Tensor:
        y: torch.Tensor = original(without(site, "conv.bias"), x, stream, **others)
        return y

    return faulty


def centred(site: Site, x: torch.Tensor, _stream: Stream, **_others: Any) -> torch.Tensor:
    """Zeros on both sides, as `padding="same"` has them; [batch, channels out, length]."""
    inner = site / "conv"
    weight = inner["weight"]
    y = functional.conv1d(x, weight, inner.get("bias"), padding=weight.shape[-1] // 2)
    return site.record(inner.record(y))


def tail_with_bias(
    site: Site, x: torch.Tensor, stream: Stream, *, stride: int, groups: int = 1
) -> torch.Tensor:
    """The overlap kept with its bias, which then counts twice; [batch, channels out, samples]."""
    inner = site / "convtr"
    weight = inner["weight"]
    y = functional.conv_transpose1d(x, weight, inner.get("bias"), stride=stride, groups=groups)
    inner.record(y)
    overlap = weight.shape[-1] - stride
    done, tail = y[..., :-overlap], y[..., -overlap:]
    if (past := stream.tensors.get(site.path)) is not None:
        done = torch.cat([done[..., :overlap] + past, done[..., overlap:]], dim=-1)
    stream.tensors[site.path] = tail
    return site.record(done)


def cut_in_front(
    site: Site, x: torch.Tensor, _stream: Stream, *, stride: int, groups: int = 1
) -> torch.Tensor:
    """What is too much cut off in front, not behind; [batch, channels out, samples]."""
    inner = site / "convtr"
    weight = inner["weight"]
    y = functional.conv_transpose1d(x, weight, inner.get("bias"), stride=stride, groups=groups)
    return site.record(inner.record(y)[..., weight.shape[-1] - stride :])


def read_as_it_lies(
    site: Site, x: torch.Tensor, config: TransformerConfig, stream: Stream
) -> torch.Tensor:
    """[batch, dim, length] read as [batch, length, dim], and back; [batch, dim, length] twice."""
    batch, dim, length = x.shape
    x = transformer.transformer(site / "transformer", x.reshape(batch, length, dim), config, stream)
    x = layers.identity(site / "output_projs" / 0, x)
    return site.record(x.reshape(batch, dim, length))


SWITCHES: dict[str, tuple[Change, ...]] = {
    "story08": (around_at(layers, "activation", _as(functional.gelu), f"{DECODER}.*"),),
    "story12": (around_at(conv, "conv", bounded, f"{DECODER}.11"),),
    "story16": (instead(seanet, "upsample", activation_behind),),
    "story19": (around_at(conv, "transposed_conv", forgetful, "mimi.*"),),
    "story20": (around_at(conv, "conv", _with(pad_mode="replicate"), f"{DECODER}.*"),),
    "elu_alpha": (
        around_at(layers, "activation", _as(partial(functional.elu, alpha=ALPHA)), f"{ENCODER}.*"),
    ),
    "elu_left_out": (at(layers, "activation", left_out, f"{DECODER}.9.block.2"),),
    "unit_skip_dropped": (at(seanet, "residual_unit", unit_skip_dropped, f"{DECODER}.6"),),
    "kernel_flipped": (around_at(conv, "conv", _flipped("conv"), f"{DECODER}.0"),),
    "upsample_flipped": (
        around_at(conv, "transposed_conv", _flipped("convtr"), "mimi.upsample.convtr"),
    ),
    "dilation": (around_at(conv, "conv", _with(dilation=DILATION), f"{DECODER}.6.block.1"),),
    "conv_bias_lost": (around_at(conv, "conv", bias_lost, f"{ENCODER}.3"),),
    "conv_centred": (at(conv, "conv", centred, f"{ENCODER}.0"),),
    "downsample_zeros": (
        around_at(conv, "conv", _with(pad_mode="constant"), "mimi.downsample.conv"),
    ),
    "history_lost": (around_at(conv, "conv", forgetful, f"{DECODER}.0"),),
    "history_in_half": (around_at(conv, "conv", in_half, f"{DECODER}.*"),),
    "tail_with_bias": (at(conv, "transposed_conv", tail_with_bias, f"{DECODER}.*"),),
    "cut_in_front": (at(conv, "transposed_conv", cut_in_front, f"{DECODER}.8"),),
    "transpose_forgotten": (
        at(transformer, "projected_transformer", read_as_it_lies, "mimi.decoder_transformer"),
    ),
}
