"""Normalisation as a recipe: which statistics over which axes, epsilon, affine, precision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

__all__ = ["KINDS", "Affine", "Recipe", "describe", "kind_of", "normalise"]

Tensor = torch.Tensor
Spread = Literal["deviation", "moment", "length", "none"]
Step = Callable[[str, Tensor], Tensor]
Place = Literal["inside", "outside", "floor", "floor inside"]

# What is taken off and what it is divided by -> what that is called.
KINDS: dict[tuple[bool, Spread], str] = {
    (True, "deviation"): "LayerNorm",
    (False, "moment"): "RMSNorm",
    (False, "deviation"): "divided by the deviation, mean kept",
    (True, "none"): "mean taken off, not divided",
    (False, "length"): "divided by the L2 norm",
    (True, "moment"): "mean taken off, divided by the RMS",
    (False, "none"): "no norm",
}


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """Tensors that a normalisation reads besides its input, each of them broadcast against it.

    Attributes:
        weight: multiplied, or None.
        bias: added, or None.
        mean: taken off instead of the input's own, or None.
        variance: divided by instead of the input's own, or None.
    """

    weight: Tensor | None = None
    bias: Tensor | None = None
    mean: Tensor | None = None
    variance: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """How to normalise. Axes count from the end.

    Attributes:
        centred: whether the mean is taken off.
        spread: what it is divided by: deviation, root mean square, L2 norm, nothing.
        axes: over which the statistics are taken.
        channel: the axis of weight and bias, that `groups` divides.
        groups: into how many the channels are divided; statistics are of one group.
        interleaved: whether channel c is of group `c % groups` instead of one run of channels.
        eps: keeps the division finite.
        place: where eps is: added to the variance, to its root, or the least root or variance.
        unbiased: whether the variance is divided by n - 1.
        running: whether mean and variance are given instead of taken.
        affine: puts other tensors in the place of those given.
        bias_first: whether the bias is added before the weight is multiplied.
        rounded: which steps are rounded to `dtype`.
        dtype: half precision.
    """

    centred: bool
    spread: Spread
    axes: tuple[int, ...]
    channel: int = -1
    groups: int = 1
    interleaved: bool = False
    eps: float = 0.0
    place: Place = "inside"
    unbiased: bool = False
    running: bool = False
    affine: Callable[[Affine], Affine] = lambda given: given
    bias_first: bool = False
    rounded: frozenset[str] = frozenset()
    dtype: torch.dtype = torch.float16


def normalise(recipe: Recipe, x: Tensor, given: Affine) -> Tensor:
    """Normalise x; statistics in float64, so that only what the recipe says is rounded.

    Args:
        recipe: how.
        x: of any shape that has the recipe's axes.
        given: weight, bias and statistics as the reference has them.

    Returns:
        A tensor of the shape and type of x.
    """

    def at(step: str, tensor: Tensor) -> Tensor:
        if step not in recipe.rounded and "all" not in recipe.rounded:
            return tensor
        return tensor.to(recipe.dtype).to(tensor.dtype)

    used = recipe.affine(given)
    y = at("input", x.double())
    if recipe.running and used.mean is not None and used.variance is not None:
        mean, variance = used.mean.double(), used.variance.double()
        y = _divided(recipe, y - mean if recipe.centred else y, variance, at)
    else:
        y = _by_own(recipe, y, at)
    y = at("normalised", y)
    weight = None if used.weight is None else at("weights", used.weight.double())
    bias = None if used.bias is None else at("weights", used.bias.double())
    if bias is not None and recipe.bias_first:
        y, bias = y + bias, None
    if weight is not None:
        y = at("product", y * weight)
    if bias is not None:
        y = y + bias
    return at("output", y).to(x.dtype)


def _by_own(recipe: Recipe, x: Tensor, at: Step) -> Tensor:
    """X by its own statistics, group by group."""
    grouped, axes = _grouped(recipe, x)
    mean = at("statistics", grouped.mean(axes, keepdim=True))
    centred = at("centred", grouped - mean)
    if recipe.spread == "deviation":
        count = _count(grouped, axes)
        square = at("squares", centred.square()).sum(axes, keepdim=True)
        spread = square / max(count - recipe.unbiased, 1)
    else:
        spread = at("squares", grouped.square()).mean(axes, keepdim=True)
        if recipe.spread == "length":
            spread = spread * _count(grouped, axes)
    top = centred if recipe.centred else grouped
    return _together(recipe, _divided(recipe, top, at("statistics", spread), at), x)


def _divided(recipe: Recipe, x: Tensor, variance: Tensor, at: Step) -> Tensor:
    if recipe.spread == "none":
        return x
    if recipe.place == "inside":
        # Divided by the root, or multiplied with one over it: half precision tells them apart.
        if "root" in recipe.rounded:
            return x / at("root", at("root", variance + recipe.eps).sqrt())
        return x * at("inverse", at("inverse", variance + recipe.eps).rsqrt())
    if recipe.place == "outside":
        return x / (variance.clamp_min(0).sqrt() + recipe.eps)
    if recipe.place == "floor":
        return x / variance.clamp_min(0).sqrt().clamp_min(recipe.eps)
    return x / variance.clamp_min(recipe.eps).sqrt()


def _count(x: Tensor, axes: tuple[int, ...]) -> int:
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    return count


def _grouped(recipe: Recipe, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """X with its channel axis divided in two, and the axes of the statistics then."""
    if recipe.groups == 1:
        return x, recipe.axes
    channel = recipe.channel % x.dim()
    if x.shape[channel] % recipe.groups:
        raise ValueError("channels do not divide into these groups")
    size = x.shape[channel] // recipe.groups
    parts = (size, recipe.groups) if recipe.interleaved else (recipe.groups, size)
    inner = channel if recipe.interleaved else channel + 1
    positive = [axis % x.dim() for axis in recipe.axes]
    axes = tuple(inner if axis == channel else axis + (axis > channel) for axis in positive)
    return x.reshape(*x.shape[:channel], *parts, *x.shape[channel + 1 :]), axes


def _together(recipe: Recipe, y: Tensor, like: Tensor) -> Tensor:
    return y.reshape(like.shape) if recipe.groups > 1 else y


def kind_of(recipe: Recipe, rank: int) -> str:
    """What a recipe is called for tensors with `rank` axes."""
    kind = KINDS[recipe.centred, recipe.spread]
    if kind != "LayerNorm":
        return kind
    if recipe.running:
        return "BatchNorm"
    channel = (recipe.channel % rank) - rank
    axes = {(axis % rank) - rank for axis in recipe.axes}
    if recipe.groups > 1:
        return f"GroupNorm, {recipe.groups} groups"
    if channel not in axes:
        return "InstanceNorm" if -rank not in axes else "BatchNorm"
    return kind


def describe(recipe: Recipe, rank: int) -> str:
    """A recipe in a few words: `LayerNorm eps=1e-05`."""
    return f"{kind_of(recipe, rank)} eps={recipe.eps:.4g}"
