"""A hypothesis: a change to the reference at a site, and what it would be called if it holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from parity.localize.execute import Edit

__all__ = ["Hypothesis", "Scale", "Site", "Solve"]

Scale = Literal["log", "linear", "integer"]


@dataclass(frozen=True, slots=True)
class Site:
    """Where in the reference something could be done differently.

    Attributes:
        path: tap path of the call in which it happens; empty outside all modules.
        operation: what happens there, and which of several (`gelu`, `add.1`, `q`); empty for the
            module as a whole.
        source: the line of code (`mlp.py:95`).
    """

    path: str
    operation: str = ""
    source: str = ""

    @property
    def kind(self) -> str:
        """The same place in all layers: numbers in the path are left out."""
        return f"{pattern_of(self.path)}::{self.operation}"


def pattern_of(path: str) -> str:
    """A path with a star for each number in it: `layers.*.norm`."""
    return re.sub(r"(?<![^.])\d+(?![^.])", "*", path)


@dataclass(frozen=True, slots=True, eq=False)
class Solve:
    """A parameter that is solved for.

    Attributes:
        make: the change, for a value of the parameter.
        low: least value that makes sense.
        high: largest value that makes sense.
        scale: how to search between them.
        reference: the reference's own value; NaN where it has none.
        guesses: values to try before searching.
    """

    make: Callable[[float], tuple[Edit, ...]]
    low: float
    high: float
    scale: Scale = "linear"
    reference: float = float("nan")
    guesses: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """A change to the reference.

    Attributes:
        family: which convention it concerns (`norm`).
        parameter: of the family (`eps`).
        reference: what the reference does there, in a few words or as a number.
        candidate: what the candidate would do, in the same way; `{value}` is what is solved for.
        site: where.
        edits: the operations to replace; empty for one that is solved.
        solve: the parameter to solve for, if there is one.
        cost: how far-fetched it is, 1 for what is often seen; decides between equals.
        value: the candidate's number, once it is known.
    """

    family: str
    parameter: str
    reference: str
    candidate: str
    site: Site
    edits: tuple[Edit, ...] = ()
    solve: Solve | None = None
    cost: float = 1.0
    value: float | None = None

    @property
    def name(self) -> str:
        """What it says, wherever it says it."""
        return f"{self.family}.{self.parameter}: {self.reference} -> {self.candidate}"

    @property
    def kind(self) -> tuple[str, str]:
        """What it says about which kind of place: the same in all layers and calls."""
        return (self.name, self.site.kind)
