"""Sums, means, extremes and norms over axes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from parity_coreml.mil.args import Args
from parity_coreml.mil.handlers import HANDLERS, handles

__all__: list[str] = []

Reduce = Callable[[torch.Tensor, list[int], bool], torch.Tensor]


def _product(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _mean(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    mean = x.float().mean(axes, keepdim=keep)
    return mean if x.is_floating_point() else mean.trunc().to(x.dtype)


_REDUCTIONS: dict[str, Reduce] = {
    "reduce_l1_norm": lambda x, axes, keep: x.abs().sum(axes, keepdim=keep),
    "reduce_l2_norm": lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt(),
    "reduce_log_sum": lambda x, axes, keep: x.sum(axes, keepdim=keep).log(),
    "reduce_log_sum_exp": lambda x, axes, keep: torch.logsumexp(x, axes, keepdim=keep),
    "reduce_max": lambda x, axes, keep: x.amax(axes, keepdim=keep),
    "reduce_mean": _mean,
    "reduce_min": lambda x, axes, keep: x.amin(axes, keepdim=keep),
    "reduce_prod": _product,
    "reduce_sum": lambda x, axes, keep: x.sum(axes, keepdim=keep),
    "reduce_sum_square": lambda x, axes, keep: x.square().sum(axes, keepdim=keep),
}


def _over_axes(reduce: Reduce) -> Callable[[Args], torch.Tensor]:
    def run(a: Args) -> torch.Tensor:
        x = a.tensor("x")
        return reduce(x, a.ints("axes", list(range(x.ndim))), a.flag("keep_dims"))

    return run


HANDLERS.update({name: _over_axes(reduce) for name, reduce in _REDUCTIONS.items()})


@handles("reduce_argmax")
def _argmax(a: Args) -> torch.Tensor:
    return a.tensor("x").argmax(a.whole("axis", -1), keepdim=a.flag("keep_dims", True))


@handles("reduce_argmin")
def _argmin(a: Args) -> torch.Tensor:
    return a.tensor("x").argmin(a.whole("axis", -1), keepdim=a.flag("keep_dims", True))


@handles("cumsum")
def _cumsum(a: Args) -> torch.Tensor:
    x, axis = a.tensor("x"), a.whole("axis")
    if a.flag("reverse"):
        x = x.flip(axis)
    total = x.cumsum(axis)
    if a.flag("exclusive"):
        # Moved on by one, and not `total - x`: that rounds, and of an infinity makes NaN.
        before = torch.zeros_like(total.narrow(axis, 0, min(1, x.shape[axis])))
        total = torch.cat([before, total], axis).narrow(axis, 0, x.shape[axis])
    return total.flip(axis) if a.flag("reverse") else total
