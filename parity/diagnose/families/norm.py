"""Normalisations: another kind, epsilon, variance, weights, or none.

A site is a call or a stretch whose result does not change when its input is scaled, or scaled and
shifted, along the axis that is normalised; which of the two says which kind it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from parity.diagnose.hypothesis import Hypothesis, Site, Solve
from parity.diagnose.view import Region, View
from parity.localize.execute import Edit

__all__ = ["NAME", "propose"]

Tensor = torch.Tensor
NAME = "norm"
EPSILONS = (1e-12, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3)


@dataclass(frozen=True, slots=True)
class Norm:
    """A normalisation as the reference does it: `z * weight + bias`, z of x.

    Attributes:
        region: where.
        kind: `layer` (mean and variance) or `rms` (mean square), or `group`.
        axes: that the statistics are taken over; the last for `layer` and `rms`.
        weight: per channel, or None.
        bias: per channel, or None.
        eps: added to the variance.
        unbiased: whether the variance is divided by n - 1.
    """

    region: Region
    kind: str
    weight: Tensor | None
    bias: Tensor | None
    eps: float
    unbiased: bool = False


def propose(view: View) -> Iterator[Hypothesis]:
    """Other normalisations wherever the reference normalises over the last axis."""
    seen: set[int] = set()
    for region in view.pairs:
        if region.node in seen:
            continue
        norm = _recognise(view, region)
        if norm is not None:
            seen.add(region.node)
            yield from _others(view, norm)


def _recognise(view: View, region: Region) -> Norm | None:
    """The normalisation that a region is, found by fitting the kinds to its values."""
    x, y = view.value(region.source).double(), view.value(region.result).double()
    if x.dim() < 2 or x.shape[-1] < 4 or x.numel() < 16 or x.shape != y.shape:
        return None
    if not bool(torch.isfinite(x).all() and torch.isfinite(y).all()):
        return None
    rows_x, rows_y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    for kind, unbiased in (("layer", False), ("rms", False), ("centre-free", True), ("layer", True)):
        found = _fit(view, region, kind, unbiased, rows_x, rows_y)
        if found is not None:
            return found
    return None


def _fit(
    view: View, region: Region, kind: str, unbiased: bool, x: Tensor, y: Tensor
) -> Norm | None:
    del view
    for eps in (1e-5, 1e-6, 1e-8, 1e-12, 1e-3):
        z = standardise(x, kind, eps, unbiased=unbiased)
        weight, bias = _affine(z, y)
        fitted = z * weight + bias
        if float((fitted - y).norm()) <= 2e-6 * float(y.norm()):
            return Norm(region, kind, weight, bias, eps, unbiased)
    return None


def _affine(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of each channel by least squares over the rows."""
    if z.shape[0] < 3:
        return torch.ones(z.shape[-1], dtype=z.dtype), torch.zeros(z.shape[-1], dtype=z.dtype)
    mz, my = z.mean(0), y.mean(0)
    cz = z - mz
    weight = (cz * (y - my)).sum(0) / (cz * cz).sum(0).clamp_min(1e-30)
    return weight, my - weight * mz


def standardise(x: Tensor, kind: str, eps: float, *, unbiased: bool = False) -> Tensor:
    """The rows of x `(..., n)` with unit variance or mean square."""
    if kind == "layer":
        centred = x - x.mean(-1, keepdim=True)
        variance = x.var(-1, unbiased=unbiased, keepdim=True)
        return centred / torch.sqrt(variance + eps)
    if kind == "rms":
        return x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps)
    # Divided by the deviation without taking off the mean.
    return x / torch.sqrt(x.var(-1, unbiased=unbiased, keepdim=True) + eps)


def _others(view: View, norm: Norm) -> Iterator[Hypothesis]:
    site = Site(norm.region.path, "" if norm.region.whole else "norm")
    reference = f"{norm.kind} norm"

    def change(compute: Callable[[Tensor], Tensor]) -> tuple[Edit, ...]:
        return (view.instead(norm.region, compute),)

    yield Hypothesis(NAME, "omitted", reference, "no norm", site, change(lambda x: x), cost=1.2)
