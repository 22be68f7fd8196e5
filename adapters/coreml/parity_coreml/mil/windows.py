"""Where the windows of convolutions and poolings lie."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from parity_coreml.mil.args import Args

__all__ = ["Pads", "padded", "pads"]

Pads = list[tuple[int, int]]


def pads(
    a: Args, sizes: Sequence[int], kernel: list[int], strides: list[int], dilations: list[int]
) -> Pads:
    """How much stands before and after each spatial axis.

    Args:
        a: of the operation; its `pad_type` is valid, custom, same or same_lower.
        sizes: of the spatial axes.
        kernel: its extent along each.
        strides: likewise.
        dilations: likewise.
    """
    kind = a.text("pad_type", "valid")
    if kind == "valid":
        return [(0, 0)] * len(sizes)
    if kind == "custom":
        given = a.ints("pad", [0] * (2 * len(sizes)))
        return list(zip(given[::2], given[1::2], strict=True))
    # As many outputs as inputs over the stride; `same_lower` puts the odd one in front.
    found = []
    for size, extent, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        reach = (extent - 1) * dilation + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        before = (total + 1) // 2 if kind == "same_lower" else total // 2
        found.append((before, total - before))
    return found


def padded(x: torch.Tensor, around: Pads, value: float = 0.0) -> torch.Tensor:
    """The tensor with `value` around its last axes."""
    if not any(any(pair) for pair in around):
        return x
    return functional.pad(x, [each for pair in reversed(around) for each in pair], value=value)
