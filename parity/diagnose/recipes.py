"""Changes of one operation that add up: each alters a recipe, and the recipe is then carried out.

An edit that computes a result anew would undo the edits below it. Those made here find one another
and merge: a lost bias and another epsilon at one place are both done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

from parity.localize.execute import Operands

__all__ = ["Variation"]

Recipe = TypeVar("Recipe")


@dataclass(frozen=True, slots=True, eq=False)
class Variation(Generic[Recipe]):
    """The `apply` of an edit: carries out a recipe as this edit and those below it altered it.

    Attributes:
        base: how the reference does it.
        change: what this edit alters.
        compute: carries a recipe out, given what is at hand.
    """

    base: Recipe
    change: Callable[[Recipe], Recipe]
    compute: Callable[[Recipe, Operands], Any]

    def __call__(self, operands: Operands) -> Any:
        """The result of the operation under all changes."""
        changes, others = [self.change], []
        call = operands.default
        while isinstance(call, partial) and call.args and isinstance(call.args[0], Operands):
            below: Operands = call.args[0]
            if isinstance(call.func, Variation) and type(call.func.base) is type(self.base):
                changes.append(call.func.change)
            else:
                others.append((call.func, below))
            call = below.default
        recipe = self.base
        for change in reversed(changes):
            recipe = change(recipe)
        result = self.compute(recipe, operands)
        for other, below in reversed(others):
            # What others do to the result they do to the new one.
            result = other(replace(below, default=partial(_as_is, result)))
        return result


def _as_is(result: Any) -> Any:
    return result
