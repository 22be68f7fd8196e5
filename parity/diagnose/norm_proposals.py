"""Makes hypotheses that alter the recipe of a normalisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from parity.diagnose.hypothesis import Hypothesis, Site
from parity.diagnose.norm_sites import NormSite, norm_sites
from parity.diagnose.normalisation import Affine, Recipe
from parity.diagnose.recipes import Variation
from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands

__all__ = ["NAME", "Change", "Proposals", "affine_change", "proposals", "with_fields"]

Tensor = torch.Tensor
Change = Callable[[Recipe], Recipe]
NAME = "norm"


@dataclass(frozen=True, slots=True)
class Proposals:
    """Makes hypotheses of one site."""

    view: View
    site: NormSite
    place: Site

    @property
    def recipe(self) -> Recipe:
        """How the reference normalises."""
        return self.site.recipe

    @property
    def rank(self) -> int:
        """Number of axes of what is normalised."""
        return len(self.view.shape(self.site.source))

    def edit(self, change: Change) -> Edit:
        """The edit that carries out an altered recipe."""
        dtype = self.view.tape.values[self.site.result].dtype
        compute = partial(_carry_out, self.site, dtype)
        return Edit(self.site.node.index, Variation(self.recipe, change, compute), self.site.reads)

    def fixed(  # noqa: PLR0917
        self,
        parameter: str,
        reference: str,
        candidate: str,
        change: Change,
        cost: float = 1.0,
        value: float | None = None,
    ) -> Hypothesis:
        """A hypothesis of which nothing is solved for; `value` is the number it speaks of."""
        edits = (self.edit(change),)
        return Hypothesis(
            NAME, parameter, reference, candidate, self.place, edits, cost=cost, value=value
        )


def _carry_out(site: NormSite, dtype: torch.dtype, recipe: Recipe, operands: Operands) -> Tensor:
    return site.compute(recipe, operands.reads, dtype)


def with_fields(**fields: Any) -> Change:
    """The change of a recipe that sets fields."""
    return lambda recipe: replace(recipe, **fields)


def affine_change(change: Callable[[Affine], Affine]) -> Change:
    """The change of a recipe that puts other tensors in the place of weight, bias, statistics."""

    def altered(recipe: Recipe) -> Recipe:
        before = recipe.affine
        return replace(recipe, affine=lambda given: change(before(given)))

    return altered


def proposals(view: View) -> Iterator[Proposals]:
    """What makes hypotheses, for each normalisation of a segment."""
    for site in norm_sites(view):
        operation = "" if site.whole else view.site(site.node).operation
        yield Proposals(view, site, Site(view.path(site.node), operation, site.node.source))
