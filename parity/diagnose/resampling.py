"""Resampling along an axis as a matrix: for every convention of coordinates and kernels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

__all__ = ["RULES", "Rule", "matrix", "resample"]

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Rule:
    """How to resample.

    Attributes:
        kernel: `nearest`, `linear`, `cubic`, `area`, or `lanczos`.
        coordinates: `half` (edges of the picture coincide), `corners` (corner samples coincide),
            `asymmetric` (first samples coincide), `torch` (scaled for corners, set for edges:
            what torch does where it shrinks smoothly and is asked for corners).
        antialias: whether the kernel widens where the picture shrinks.
        slope: of the cubic kernel.
    """

    kernel: str
    coordinates: str = "half"
    antialias: bool = False
    slope: float = -0.75


RULES: dict[str, Rule] = {
    "nearest": Rule("nearest", "asymmetric"),
    "nearest, centred": Rule("nearest"),
    "linear": Rule("linear"),
    "linear, corners aligned": Rule("linear", "corners"),
    "linear, first samples aligned": Rule("linear", "asymmetric"),
    "linear, antialiased": Rule("linear", antialias=True),
    "linear, corners aligned, antialiased": Rule("linear", "corners", antialias=True),
    "linear, scaled for corners, antialiased": Rule("linear", "torch", antialias=True),
    "cubic": Rule("cubic"),
    "cubic, a=-0.5": Rule("cubic", slope=-0.5),
    "cubic, corners aligned": Rule("cubic", "corners"),
    "cubic, first samples aligned": Rule("cubic", "asymmetric"),
    "cubic, antialiased": Rule("cubic", antialias=True, slope=-0.5),
    "cubic, a=-0.75, antialiased": Rule("cubic", antialias=True),
    "lanczos": Rule("lanczos", antialias=True),
    "area": Rule("area"),
}


def resample(x: Tensor, sizes: tuple[int, ...], rule: Rule) -> Tensor:
    """Resample the last axes of x to `sizes`."""
    made = x.double()
    first = x.dim() - len(sizes)
    for axis, size in enumerate(sizes, first):
        weights = matrix(x.shape[axis], size, rule)
        made = (made.movedim(axis, -1) @ weights.t()).movedim(-1, axis)
    return made.to(x.dtype)


def matrix(n: int, size: int, rule: Rule) -> Tensor:
    """float64[size, n]: what each of `size` results takes of each of n samples."""
    if rule.kernel == "area":
        return _area(n, size)
    scale = n / size
    at = torch.arange(size, dtype=torch.float64)
    if rule.coordinates in {"torch", "corners"} and size > 1:
        scale = (n - 1) / (size - 1)
    if rule.coordinates in {"half", "torch"}:
        centre = (at + 0.5) * scale - 0.5
    elif rule.coordinates == "corners":
        centre = at * scale if size > 1 else at
    else:
        centre = at * scale
    if rule.kernel == "nearest":
        near = centre.add(0.5 if rule.coordinates == "half" else 0.0).floor()
        return torch.nn.functional.one_hot(near.long().clamp(0, n - 1), n).double()
    return _weighted(centre, n, scale, rule)


def _weighted(centre: Tensor, n: int, scale: float, rule: Rule) -> Tensor:
    function, reach = _kernel(rule)
    wide = max(scale, 1.0) if rule.antialias else 1.0
    span = math.ceil(reach * wide) + 1
    offsets = torch.arange(-span, span + 1, dtype=torch.float64)
    taps = centre.floor()[:, None] + offsets
    weights = function((taps - centre[:, None]) / wide)
    if rule.antialias:
        # What lies outside is left out, not replaced by the border.
        weights = weights * ((taps >= 0) & (taps <= n - 1))
        weights = weights / weights.sum(dim=1, keepdim=True)
    found = torch.zeros(len(centre), n, dtype=torch.float64)
    return found.scatter_add_(1, taps.long().clamp(0, n - 1), weights)


def _kernel(rule: Rule) -> tuple[Callable[[Tensor], Tensor], float]:
    if rule.kernel == "linear":
        return (lambda t: (1 - t.abs()).clamp_min(0)), 1.0
    if rule.kernel == "lanczos":
        return (lambda t: torch.sinc(t) * torch.sinc(t / 3) * (t.abs() < 3)), 3.0
    a = rule.slope

    def cubic(t: Tensor) -> Tensor:
        t = t.abs()
        inner = (a + 2) * t**3 - (a + 3) * t**2 + 1
        outer = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
        return torch.where(t <= 1, inner, torch.where(t < 2, outer, torch.zeros_like(t)))

    return cubic, 2.0


def _area(n: int, size: int) -> Tensor:
    found = torch.zeros(size, n, dtype=torch.float64)
    for row in range(size):
        first, last = row * n // size, -(-(row + 1) * n // size)
        found[row, first:last] = 1 / (last - first)
    return found
