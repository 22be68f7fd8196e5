"""Convolutions in one to three dimensions."""

from __future__ import annotations

import torch
from torch.nn import functional

from parity_coreml.mil.args import Args
from parity_coreml.mil.handlers import handles
from parity_coreml.mil.windows import Pads, padded, pads

__all__: list[str] = []

_FORWARD = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


@handles("conv")
def _conv(a: Args) -> torch.Tensor:
    x, weight = a.tensor("x"), a.tensor("weight")
    count = x.ndim - 2
    strides, dilations = a.ints("strides", [1] * count), a.ints("dilations", [1] * count)
    around = pads(a, x.shape[2:], list(weight.shape[2:]), strides, dilations)
    return _FORWARD[count](
        padded(x, around),
        weight,
        a.optional("bias"),
        stride=strides,
        dilation=dilations,
        groups=a.whole("groups", 1),
    )


@handles("conv_transpose")
def _conv_transpose(a: Args) -> torch.Tensor:
    """Everything that the kernel reaches, less the padding, or as long as `output_shape` says."""
    x, weight = a.tensor("x"), a.tensor("weight")
    count = x.ndim - 2
    strides, dilations = a.ints("strides", [1] * count), a.ints("dilations", [1] * count)
    y = _TRANSPOSED[count](
        x,
        weight,
        a.optional("bias"),
        stride=strides,
        dilation=dilations,
        groups=a.whole("groups", 1),
    )
    if a.text("pad_type", "valid").startswith("same"):
        wanted = [size * stride for size, stride in zip(x.shape[2:], strides, strict=True)]
        return _cut(y, _halves(y, wanted, a.text("pad_type")))
    around = pads(a, x.shape[2:], list(weight.shape[2:]), strides, dilations)
    if not a.has("output_shape"):
        return _cut(y, around)
    lengths = a.ints("output_shape")[-count:]
    # Longer than the kernel reaches, there is nothing but the bias.
    rests = [y.shape[2 + axis] - around[axis][0] - length for axis, length in enumerate(lengths)]
    cut = _cut(y, [(before, max(rest, 0)) for (before, _), rest in zip(around, rests, strict=True)])
    return _filled(cut, [(0, max(-rest, 0)) for rest in rests], a.optional("bias"))


def _filled(y: torch.Tensor, more: Pads, bias: torch.Tensor | None) -> torch.Tensor:
    if bias is None or not any(any(pair) for pair in more):
        return padded(y, more)
    shape = (-1,) + (1,) * (y.ndim - 2)
    return padded(y - bias.reshape(shape), more) + bias.reshape(shape)


def _halves(y: torch.Tensor, wanted: list[int], kind: str) -> Pads:
    around = []
    for size, length in zip(y.shape[2:], wanted, strict=True):
        total = size - length
        before = (total + 1) // 2 if kind == "same_lower" else total // 2
        around.append((before, total - before))
    return around


def _cut(y: torch.Tensor, around: Pads) -> torch.Tensor:
    for axis, (before, after) in enumerate(around, 2):
        y = y.narrow(axis, before, y.shape[axis] - before - after)
    return y
