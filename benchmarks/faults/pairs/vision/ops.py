"""Layers of the port, written out, and the place in the network where each works."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from parity.capture import tap
from parity.tensors import Role

__all__ = [
    "Place",
    "attend",
    "cubic_resize",
    "layer_norm",
    "linear",
    "linear_resize",
    "nearest_resize",
    "product",
    "unit",
]


@dataclass(frozen=True, slots=True)
class Place:
    """A path, the weights by full name, and how this port computes.

    Attributes:
        weights: all weights.
        path: dotted; the same in weights and taps, but for the tap's `model.` in front.
        faults: the switches that are on.
        variant: which clean way of computing.
        dtype: of the activations.
    """

    weights: Mapping[str, torch.Tensor]
    path: str
    faults: frozenset[str]
    variant: str
    dtype: torch.dtype

    def __truediv__(self, name: str | int) -> Place:
        return replace(self, path=f"{self.path}.{name}" if self.path else str(name))

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.weights[f"{self.path}.{name}"]

    def get(self, name: str) -> torch.Tensor | None:
        """The weight, or None where it was folded away or never was."""
        return self.weights.get(f"{self.path}.{name}")

    def has(self, fault: str, layer: int | None = None, *, only: int | None = None) -> bool:
        """Whether a switch is on here; `only` names the one layer in which it acts."""
        return fault in self.faults and (only is None or layer == only)

    def tap(self, value: torch.Tensor, slot: str = "") -> torch.Tensor:
        """Record what came out here, of any shape."""
        path = f"model.{self.path}" if self.path else "model"
        return tap(path, value, role=Role.OUTPUT, slot=slot)


def product(place: Place, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """[..., in] times [out, in] -> [..., out]; in blocks of the inner axis when asked to."""
    if place.variant != "blocked_matmul":
        return torch.einsum("...i,oi->...o", x, weight)
    parts = zip(x.split(16, dim=-1), weight.split(16, dim=-1), strict=True)
    total = torch.zeros(())
    for left, right in reversed(list(parts)):
        total = total + left @ right.mT
    return total


def linear(
    place: Place, x: torch.Tensor, *, weight: torch.Tensor | None = None, bias: bool = True
) -> torch.Tensor:
    """Affine map of the last axis, by the place's weight unless another is given."""
    y = product(place, x, place["weight"] if weight is None else weight)
    offset = place.get("bias") if bias else None
    return place.tap(y if offset is None else y + offset)


def layer_norm(
    place: Place,
    x: torch.Tensor,
    *,
    eps: float = 1e-6,
    source: Place | None = None,
    bias: bool = True,
    centred: bool = True,
    half: bool = False,
) -> torch.Tensor:
    """Standardise the last axis, then the weights of `source`, which is this place if None."""
    source = source or place
    wide = x.half() if half else x.float()
    if centred:
        wide = wide - wide.mean(dim=-1, keepdim=True)
    size = wide.shape[-1]
    divisor = size - 1 if "norm_unbiased" in place.faults else size
    variance = wide.square().sum(dim=-1, keepdim=True) / divisor
    y = (wide / torch.sqrt(variance + eps)).to(x.dtype)
    weight, offset = source.get("weight"), source.get("bias")
    if weight is not None:
        y = y * weight
    if offset is not None and bias:
        y = y + offset
    return place.tap(y)


def unit(x: torch.Tensor, *, dim: int = -1) -> torch.Tensor:
    """Vectors of length one along `dim`."""
    wide = x.float()
    return (wide / wide.square().sum(dim=dim, keepdim=True).sqrt().clamp(min=1e-12)).to(x.dtype)


def attend(
    place: Place, scores: torch.Tensor, values: torch.Tensor, *, dim: int = -1
) -> torch.Tensor:
    """Softmax of [batch, heads, queries, keys] over `dim`, times [batch, keys, heads, size].

    Returns:
        [batch, queries, heads, size].
    """
    if place.variant == "online_softmax":
        return _online(scores, values)
    exponent = scores.float()
    peak = exponent.amax(dim=dim, keepdim=True)
    exponent = torch.exp(exponent - peak)
    total = exponent.sum(dim=dim, keepdim=True)
    if place.has("attention_sink"):
        total = total + torch.exp(-peak)  # a key with score 0 and value 0
    weights = (exponent / total).to(values.dtype)
    return torch.einsum("bhnm,bmhd->bnhd", weights, values)


def _online(scores: torch.Tensor, values: torch.Tensor, block: int = 7) -> torch.Tensor:
    """The same, one block of keys after the other, never holding all weights."""
    peak = torch.full((*scores.shape[:-1], 1), -math.inf)
    total = torch.zeros_like(peak)
    result = torch.zeros(())
    for start in range(0, scores.shape[-1], block):
        part = scores[..., start : start + block].float()
        higher = torch.maximum(peak, part.amax(dim=-1, keepdim=True))
        weights, shrink = torch.exp(part - higher), torch.exp(peak - higher)
        gained = torch.einsum("bhnm,bmhd->bhnd", weights, values[:, start : start + block].float())
        result = result * shrink + gained
        total = total * shrink + weights.sum(dim=-1, keepdim=True)
        peak = higher
    return (result / total).transpose(1, 2).to(values.dtype)


def linear_resize(size: int, target: int, *, antialias: bool, corners: bool) -> torch.Tensor:
    """The matrix [target, size] of linear interpolation along one axis.

    Shrinking widens the triangle by the ratio when `antialias` is on, as PIL does. With `corners`
    the first and last samples of both grids coincide, else the edges of the picture do.
    """
    ratio = (size - 1) / (target - 1) if corners else size / target
    reach = max(ratio, 1.0) if antialias else 1.0
    out = torch.arange(target, dtype=torch.float64)
    centre = out * ratio if corners else (out + 0.5) * ratio - 0.5
    if not antialias:
        centre = centre.clamp(0, size - 1)
    distance = (torch.arange(size, dtype=torch.float64) - centre[:, None]).abs()
    weights = (1 - distance / reach).clamp(min=0)
    return (weights / weights.sum(dim=1, keepdim=True)).float()


def nearest_resize(size: int, target: int) -> torch.Tensor:
    """The matrix [target, size] that takes the sample at or before each place."""
    source = torch.div(torch.arange(target) * size, target, rounding_mode="floor")
    return functional.one_hot(source, size).float()


def cubic_resize(size: int, target: int) -> torch.Tensor:
    """The matrix [target, size] of cubic convolution with a = -0.75 and repeated borders."""
    a = -0.75
    matrix = torch.zeros(target, size, dtype=torch.float64)
    for row in range(target):
        centre = (row + 0.5) * size / target - 0.5
        first = math.floor(centre) - 1
        for place in range(first, first + 4):
            d = abs(centre - place)
            near = ((a + 2) * d - (a + 3)) * d * d + 1
            far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
            matrix[row, min(max(place, 0), size - 1)] += near if d <= 1 else far
    return matrix.float()
