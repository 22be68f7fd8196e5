"""Layers of the port, written out, and the place in the network where each works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from parity.capture import tap
from parity.tensors import Role

__all__ = ["Place", "batch_norm", "convolve", "linear", "product"]


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

    def __contains__(self, name: str) -> bool:
        return f"{self.path}.{name}" in self.weights

    def has(self, fault: str, at: str = "") -> bool:
        """Whether a switch is on, and this place's path ends with `at`."""
        return fault in self.faults and self.path.endswith(at)

    def tap(self, value: torch.Tensor, slot: str = "") -> torch.Tensor:
        """Record what came out here, of any shape."""
        path = f"model.{self.path}" if self.path else "model"
        return tap(path, value, role=Role.OUTPUT, slot=slot)


def product(place: Place, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """[..., in] times [out, in] -> [..., out]; in blocks of the inner axis when asked to."""
    if place.variant != "blocked_matmul":
        return x @ weight.mT
    total = torch.zeros((), dtype=x.dtype)
    for start in reversed(range(0, x.shape[-1], 12)):
        end = start + 12
        total = total + torch.einsum("...i,oi->...o", x[..., start:end], weight[:, start:end])
    return total


def linear(place: Place, x: torch.Tensor) -> torch.Tensor:
    """Affine map of the last axis; [..., in] -> [..., out]."""
    return place.tap(product(place, x, place["weight"]) + place["bias"])


def convolve(
    place: Place, x: torch.Tensor, weight: torch.Tensor, *, dilation: int = 1
) -> torch.Tensor:
    """[batch, in, length] by [out, in, kernel] -> [batch, out, length - (kernel - 1) * dilation].

    One matrix product for each place of the kernel.
    """
    kernel = weight.shape[-1]
    length = x.shape[-1] - (kernel - 1) * dilation
    total = torch.zeros((), dtype=x.dtype)
    for shift in range(kernel):
        part = x[..., shift * dilation : shift * dilation + length]
        total = total + product(place, part.mT, weight[..., shift]).mT
    return total


def batch_norm(place: Place, x: torch.Tensor, *, statistics: Place | None = None) -> torch.Tensor:
    """Standardise each channel of [batch, channels, length] by what training saw.

    Args:
        place: of the norm; nothing is left to do where it was folded into the layer before.
        x: the input.
        statistics: the norm whose running mean and variance are used, this one if None.
    """
    if "running_mean" not in place:
        return place.tap(x)
    source = statistics or place
    mean, variance = source["running_mean"], source["running_var"]
    if place.has("bn_batch_statistics"):
        mean, variance = x.mean(dim=(0, 2)), x.var(dim=(0, 2), unbiased=False)
    if place.has("bn_variance_as_deviation", "postnet.bn"):
        variance = variance.square()
    eps = 1e-3 if place.has("bn_eps") else 1e-5
    scale = 1 / torch.sqrt(variance + eps)
    if not place.has("bn_weight_lost", "convs.0.bn"):
        scale = scale * place["weight"]
    return place.tap((x - mean[:, None]) * scale[:, None] + place["bias"][:, None])
