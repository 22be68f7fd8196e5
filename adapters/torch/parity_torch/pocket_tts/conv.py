"""Causal convolutions that carry their past from call to call."""

from __future__ import annotations

import torch
from torch.nn import functional

from parity_torch.pocket_tts.stream import Stream
from parity_torch.pocket_tts.weights import Site

__all__ = ["conv", "transposed_conv"]


def conv(
    site: Site,
    x: torch.Tensor,
    stream: Stream,
    *,
    stride: int = 1,
    dilation: int = 1,
    pad_mode: str = "constant",
) -> torch.Tensor:
    """Convolve what is new with the history before it.

    Args:
        site: of the streaming convolution; the plain one inside it is `site / "conv"`.
        x: [batch, channels, length], the length a multiple of the stride.
        stream: holds the last (effective kernel - stride) samples.
        stride: samples a step.
        dilation: distance of the kernel's taps.
        pad_mode: what stands before the first sample: `constant` for zeros, `replicate` for
            copies of it.

    Returns:
        [batch, channels out, length / stride].
    """
    weight = (site / "conv")["weight"]
    reach = (weight.shape[-1] - 1) * dilation + 1 - stride
    if reach:
        x = torch.cat([_history(site, x, stream, reach, pad_mode), x], dim=-1)
        stream.tensors[site.path] = x[..., -reach:]
    y = functional.conv1d(x, weight, (site / "conv").get("bias"), stride=stride, dilation=dilation)
    return site.record((site / "conv").record(y))


def _history(
    site: Site, x: torch.Tensor, stream: Stream, reach: int, pad_mode: str
) -> torch.Tensor:
    past = stream.tensors.get(site.path)
    return before_first(x, reach, pad_mode) if past is None else past


def before_first(x: torch.Tensor, reach: int, pad_mode: str) -> torch.Tensor:
    """What stands before the first sample; [batch, channels, reach]."""
    first = x[..., :1] if pad_mode == "replicate" else torch.zeros_like(x[..., :1])
    return first.expand(-1, -1, reach)


def transposed_conv(
    site: Site, x: torch.Tensor, stream: Stream, *, stride: int, groups: int = 1
) -> torch.Tensor:
    """Upsample by `stride` and overlap-add with the tail of the call before.

    The tail is kept without the bias, which the next call adds again.

    Args:
        site: of the streaming convolution; the plain one inside it is `site / "convtr"`.
        x: [batch, channels, length].
        stream: holds the last (kernel - stride) samples.
        stride: samples out for each one in.
        groups: as many as there are channels for a depthwise convolution.

    Returns:
        [batch, channels out, length * stride].
    """
    weight, bias = (site / "convtr")["weight"], (site / "convtr").get("bias")
    y = functional.conv_transpose1d(x, weight, bias, stride=stride, groups=groups)
    (site / "convtr").record(y)
    overlap = weight.shape[-1] - stride
    done, tail = y[..., :-overlap], y[..., -overlap:]
    past = stream.tensors.get(site.path)
    if past is not None:
        done = torch.cat([done[..., :overlap] + past, done[..., overlap:]], dim=-1)
    stream.tensors[site.path] = tail if bias is None else tail - bias[:, None]
    return site.record(done)
