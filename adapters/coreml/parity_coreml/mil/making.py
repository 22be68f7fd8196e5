"""Tensors made from numbers alone."""

from __future__ import annotations

import torch

from parity_coreml.mil.args import Args
from parity_coreml.mil.handlers import handles

__all__: list[str] = []


@handles("fill")
def _fill(a: Args) -> torch.Tensor:
    return a.tensor("value").reshape(()).expand(a.ints("shape")).clone()


@handles("fill_like")
def _fill_like(a: Args) -> torch.Tensor:
    return a.tensor("value").reshape(()).expand(a.tensor("ref_tensor").shape).clone()


@handles("range_1d")
def _range_1d(a: Args) -> torch.Tensor:
    start, end, step = (a.tensor(name) for name in ("start", "end", "step"))
    return torch.arange(start.item(), end.item(), step.item(), dtype=start.dtype)
