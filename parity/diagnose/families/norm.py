"""Normalisations: another kind, epsilon, variance, axes, groups, weights, precision, or none.

A site is one of torch's own normalisations or one written out by hand. Every hypothesis alters the
recipe of the site, so that several of them hold together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from parity.diagnose.hypothesis import Hypothesis, Solve
from parity.diagnose.norm_proposals import (
    NAME,
    Change,
    Proposals,
    affine_change,
    proposals,
    with_fields,
)
from parity.diagnose.normalisation import KINDS, Affine, Place, kind_of
from parity.diagnose.view import View

__all__ = ["NAME", "propose"]

# Half precision makes no larger relative difference than this.
MOST_ROUNDING = 0.1
_KIND_COSTS = {"LayerNorm": 1.0, "RMSNorm": 1.0, "no norm": 1.25, "divided by the L2 norm": 1.4}
_PLACES: dict[Place, str] = {
    "inside": "eps added to the variance",
    "outside": "eps added to the deviation",
    "floor": "eps as the least deviation",
    "floor inside": "eps as the least variance",
}
# A solver looks at every decade by itself; a step from the nearest point then converges.
_BETWEEN_DECADES = tuple(10.0 ** (0.5 - decade) for decade in range(2, 8))
_STEPS = {
    "input": ("input", "input"),
    "statistics": ("statistics", "statistics"),
    "result before the weight": ("normalised", "input"),
    "input and result": ("input", "output"),
    "input, weights and result": ("input", "weights", "output"),
    "result and its weights": ("normalised", "weights", "output"),
    "all but the statistics": ("input", "normalised", "weights", "output"),
    "all but the sums": ("input", "root", "normalised", "weights", "output"),
    "whole": ("all", "all"),
    "whole, divided by the root": ("all", "root"),
    "output": ("output", "output"),
}


def propose(view: View) -> Iterator[Hypothesis]:
    """Other ways to normalise, wherever the reference does."""
    for make in proposals(view):
        yield from _epsilon(make)
        yield from _kinds(make)
        yield from _variance(make)
        yield from _axes(make)
        yield from _groups(make)
        yield from _precision(make)


def _epsilon(make: Proposals) -> Iterator[Hypothesis]:
    recipe = make.recipe
    label = kind_of(recipe, make.rank)
    solve = Solve(
        lambda value: (make.edit(with_fields(eps=value)),),
        1e-9,
        1e-1,
        "log",
        reference=recipe.eps,
        guesses=_BETWEEN_DECADES,
    )
    reference = f"{label} eps={recipe.eps:.4g}"
    yield Hypothesis(NAME, "eps", reference, "eps={value:.4g}", make.place, solve=solve, cost=0.6)
    if recipe.eps > 0:
        yield make.fixed("eps", reference, "without eps", with_fields(eps=0.0), 1.2)
        for place, text in _PLACES.items():
            if place != recipe.place:
                change = with_fields(place=place)
                yield make.fixed("eps", _PLACES[recipe.place], text, change, 1.4)


def _kinds(make: Proposals) -> Iterator[Hypothesis]:
    recipe = make.recipe
    reference = kind_of(recipe, make.rank)
    for (centred, spread), text in KINDS.items():
        if (centred, spread) == (recipe.centred, recipe.spread):
            continue
        if text == "no norm":
            yield from _omitted(make, reference)
            continue
        cost = _KIND_COSTS.get(text, 1.6)
        change = with_fields(centred=centred, spread=spread)
        yield make.fixed("kind", reference, text, change, cost)
        # What takes no mean off has no bias either, as a rule.
        if make.site.slots.bias is not None and recipe.centred and not centred:
            bare = _then(change, affine_change(lambda given: replace(given, bias=None)))
            yield make.fixed("kind", reference, f"{text}, no bias", bare, cost + 0.1)


def _then(first: Change, second: Change) -> Change:
    return lambda recipe: second(first(recipe))


def _bare(given: Affine) -> Affine:
    return replace(given, weight=None, bias=None)


def _omitted(make: Proposals, reference: str) -> Iterator[Hypothesis]:
    none = with_fields(centred=False, spread="none")
    yield make.fixed("omitted", reference, "no norm", _then(none, affine_change(_bare)), 1.2)
    if make.site.slots.weight is not None or make.site.slots.bias is not None:
        yield make.fixed("omitted", reference, "weight and bias alone", none, 1.6)


def _variance(make: Proposals) -> Iterator[Hypothesis]:
    recipe = make.recipe
    if recipe.spread != "deviation" or recipe.running:
        return
    words = {False: "biased variance (n)", True: "unbiased variance (n - 1)"}
    other = not recipe.unbiased
    yield make.fixed("variance", words[not other], words[other], with_fields(unbiased=other))


def _axes(make: Proposals) -> Iterator[Hypothesis]:
    recipe, rank = make.recipe, make.rank
    if recipe.running:
        return
    reference = _over(recipe.axes, rank)
    channel = (recipe.channel % rank) - rank
    every = tuple(range(-rank, 0))
    options: list[tuple[int, ...]] = [(axis,) for axis in every[1:] or every]
    options += [tuple(axis for axis in every[1:] if axis != channel), every[1:]]
    options += [tuple(axis for axis in every if axis != channel)]
    options += [(other, -1) for other in every[1:-1]]
    known = {tuple(sorted((axis % rank) - rank for axis in recipe.axes))}
    for axes in options:
        if not axes or axes in known:
            continue
        known.add(axes)
        cost = 1.3 if -rank not in axes else 1.8
        yield make.fixed(
            "axis", reference, _over(axes, rank), with_fields(axes=axes, groups=1), cost
        )
        if recipe.groups > 1 and channel in axes:
            change = with_fields(axes=axes)
            text = f"{_over(axes, rank)}, in groups"
            yield make.fixed("axis", reference, text, change, cost + 0.2)


def _over(axes: tuple[int, ...], rank: int) -> str:
    if len(axes) == rank:
        return "statistics over everything"
    return "statistics over axis " + " and ".join(str(axis) for axis in sorted(axes))


def _groups(make: Proposals) -> Iterator[Hypothesis]:
    recipe = make.recipe
    channel = (recipe.channel % make.rank) - make.rank
    axes = {(axis % make.rank) - make.rank for axis in recipe.axes}
    channels = make.view.shape(make.site.source)[channel]
    if recipe.running or (channel not in axes and recipe.groups == 1) or channels < 2:
        return
    top = min(channels, 96)
    reference = f"{recipe.groups} group{'s' * (recipe.groups > 1)}"
    solve = Solve(
        lambda value: (make.edit(with_fields(groups=_divisor(value, channels))),),
        1,
        top,
        "integer",
        reference=float(recipe.groups),
    )
    cost = 0.7 if recipe.groups > 1 else 1.0
    text = "{value:.0f} groups"
    yield Hypothesis(NAME, "groups", reference, text, make.place, solve=solve, cost=cost)
    if recipe.groups > 1:
        change = with_fields(interleaved=not recipe.interleaved)
        yield make.fixed("groups", reference, "groups of interleaved channels", change, 1.8)


def _divisor(value: float, channels: int) -> int:
    groups = round(value)
    if groups < 1 or channels % groups:
        raise ValueError("channels do not divide into these groups")
    return groups


def _precision(make: Proposals) -> Iterator[Hypothesis]:
    if not make.view.segment.error < MOST_ROUNDING:
        return
    for dtype in (torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        for text, steps in _STEPS.items():
            change = with_fields(rounded=frozenset(steps), dtype=dtype)
            candidate = f"{text} in {name}"
            cost = 1.4 if "whole" not in text else 1.45
            yield make.fixed("precision", "computed in float32", candidate, change, cost)
