"""To and from eight-bit integers."""

from __future__ import annotations

import torch

from parity_coreml.mil.args import Args
from parity_coreml.mil.handlers import handles

__all__: list[str] = []

_RANGES = {"int8": (-128, 127), "uint8": (0, 255)}


@handles("quantize")
def _quantize(a: Args) -> torch.Tensor:
    low, high = _RANGES[a.text("output_dtype", "int8")]
    x = a.tensor("input")
    steps = torch.round(x / _along(a, "scale", x)) + _along(a, "zero_point", x)
    return steps.clamp(low, high).to(torch.int32)


@handles("dequantize")
def _dequantize(a: Args) -> torch.Tensor:
    x = a.tensor("input")
    return (x - _along(a, "zero_point", x)).float() * _along(a, "scale", x)


def _along(a: Args, name: str, x: torch.Tensor) -> torch.Tensor:
    """One number, or one for each place along `axis`."""
    given = a.optional(name)
    if given is None:
        return torch.tensor(0)
    if given.ndim == 0:
        return given
    axis = a.whole("axis") % x.ndim
    return given.reshape([-1 if each == axis else 1 for each in range(x.ndim)])
