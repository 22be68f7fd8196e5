"""Poolings in one to three dimensions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from parity_coreml.mil.args import Args
from parity_coreml.mil.handlers import handles
from parity_coreml.mil.windows import Pads, padded, pads

__all__: list[str] = []

_MAXIMA = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_MEANS = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}

Pool = Callable[[torch.Tensor], torch.Tensor]


@handles("max_pool")
def _max_pool(a: Args) -> torch.Tensor:
    x = a.tensor("x")
    kernel, strides, around = _windows(a)
    return _MAXIMA[len(kernel)](padded(x, around, -torch.inf), kernel, strides)


@handles("avg_pool")
def _avg_pool(a: Args) -> torch.Tensor:
    """What `ceil_mode` reaches beyond the padding counts for nothing, as in torch."""
    x = a.tensor("x")
    kernel, strides, around = _windows(a)
    own = _own_pads(a)
    beyond = [(0, whole[1] - part[1]) for whole, part in zip(around, own, strict=True)]
    weight = 0.0 if a.flag("exclude_padding_from_average") else 1.0
    counted = padded(padded(torch.ones_like(x), own, weight), beyond)
    mean = _MEANS[len(kernel)]
    return mean(padded(x, around), kernel, strides) / mean(counted, kernel, strides)


@handles("l2_pool")
def _l2_pool(a: Args) -> torch.Tensor:
    kernel, strides, around = _windows(a)
    count = torch.tensor(kernel).prod()
    return (
        _MEANS[len(kernel)](padded(a.tensor("x").square(), around), kernel, strides) * count
    ).sqrt()


def _own_pads(a: Args) -> Pads:
    """What the operation says, without what `ceil_mode` adds."""
    kernel = a.ints("kernel_sizes")
    ones = [1] * len(kernel)
    return pads(a, list(a.tensor("x").shape[2:]), kernel, a.ints("strides", ones), ones)


def _windows(a: Args) -> tuple[list[int], list[int], Pads]:
    sizes, kernel = list(a.tensor("x").shape[2:]), a.ints("kernel_sizes")
    strides, around = a.ints("strides", [1] * len(kernel)), _own_pads(a)
    if a.flag("ceil_mode"):
        around = [_up(*each) for each in zip(sizes, kernel, strides, around, strict=True)]
    return kernel, strides, around


def _up(size: int, kernel: int, stride: int, around: tuple[int, int]) -> tuple[int, int]:
    """More padding behind, so that the last window is whole, unless it would hold nothing else."""
    before, after = around
    rest = (size + before + after - kernel) % stride
    if not rest:
        return around
    start = size + before + after - kernel - rest + stride
    return around if start >= size + before else (before, after + stride - rest)
