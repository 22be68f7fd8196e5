"""Layers of the port, written out, and the place in the network where each works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from parity.capture import tap
from parity.tensors import Role

__all__ = ["Place", "conv2d", "layer_norm", "linear", "product", "silu"]


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

    def has(self, fault: str, part: str = "") -> bool:
        """Whether a switch is on, and this place's path contains `part`."""
        return fault in self.faults and part in self.path

    def tap(self, value: torch.Tensor, slot: str = "") -> torch.Tensor:
        """Record what came out here, of any shape."""
        path = f"model.{self.path}" if self.path else "model"
        return tap(path, value, role=Role.OUTPUT, slot=slot)


def product(place: Place, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """[..., in] times [out, in] -> [..., out]; in blocks of the inner axis when asked to."""
    if place.variant != "blocked_matmul":
        return x @ weight.mT
    parts = zip(x.split(8, dim=-1), weight.split(8, dim=-1), strict=True)
    total = torch.zeros((), dtype=x.dtype)
    for left, right in reversed(list(parts)):
        total = total + torch.einsum("...i,oi->...o", left, right)
    return total


def linear(place: Place, x: torch.Tensor, *, source: Place | None = None) -> torch.Tensor:
    """Affine map of the last axis by the weights of `source`, which is this place if None."""
    source = source or place
    weight, bias = source["weight"].flatten(1), source.get("bias")
    if place.has("projection_transposed", "layers.0.attention.out"):
        weight = weight.mT
    if place.has("blank_last") and place.path == "head":
        weight, bias = weight.roll(-1, dims=0), None if bias is None else bias.roll(-1)
    y = product(place, x, weight)
    return place.tap(y if bias is None else y + bias)


def layer_norm(place: Place, x: torch.Tensor) -> torch.Tensor:
    """Standardise the last axis, then weight and bias; any shape."""
    if place.has("layer_norm_omitted") and place.path == "layers.0.norm":
        return place.tap(x)
    wide = x.float()
    centred = wide - wide.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    y = (centred * torch.rsqrt(variance + 1e-5)).to(x.dtype)
    return place.tap(y * place["weight"] + place["bias"])


def silu(place: Place, x: torch.Tensor) -> torch.Tensor:
    """SiLU, by its exponential; any shape."""
    if place.has("relu_in_feed_forward", "ff1"):
        return place.tap(x.clamp(min=0))
    if place.has("hard_swish", "conv.act"):
        return place.tap(x * (x / 6 + 0.5).clamp(0, 1))
    return place.tap(x / (1 + torch.exp(-x)))


def conv2d(place: Place, x: torch.Tensor) -> torch.Tensor:
    """Strided by two, without padding; [batch, in, time, bands] -> [batch, out, time', bands']."""
    weight = place["weight"]
    if place.has("kernel_axes_swapped", "conv2"):
        weight = weight.mT
    rows, columns = ((size - 3) // 2 + 1 for size in x.shape[2:])
    if place.has("window_one_late", "conv1"):
        x = functional.pad(x[:, :, 1:], (0, 0, 0, 1))
    windows = x.unfold(2, 3, 2).unfold(3, 3, 2)[:, :, :rows, :columns]
    flat = windows.permute(0, 2, 3, 1, 4, 5).flatten(3)
    y = torch.einsum("btwk,ok->botw", flat, weight.flatten(1))
    return place.tap(y + place["bias"][:, None, None])
