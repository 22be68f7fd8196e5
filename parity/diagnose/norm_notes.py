"""What values of a written-out normalisation are: means, squares, variances of some tensor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from parity.diagnose.norm_reading import axes_of, reduced, size_of
from parity.diagnose.normalisation import Place, Spread
from parity.diagnose.view import View
from parity.localize.tape import Node

__all__ = ["Kind", "Note", "Statistics"]

Kind = Literal[
    "mean",
    "centred",
    "square",
    "square of mean",
    "sum",
    "spread",
    "root",
    "inverse",
    "quotient",
    "weighted",
]
_KEEPS_SHAPE = frozenset(
    {"float", "to", "type", "type_as", "contiguous", "clone", "detach", "double"}
)


@dataclass(frozen=True, slots=True)
class Note:
    """What a value is of x.

    Attributes:
        kind: what it is.
        x: of which value.
        axes: the reduced axes of x, from its end.
        centred: for squares and what follows: whether the mean of x was taken off.
        spread: what a root would be.
        unbiased: whether it was divided by n - 1.
        eps: what was added.
        place: where.
        top_centred: of a quotient, whether the mean was taken off what is divided.
        mean: the value that was taken off, where that is a parameter and not a mean of x.
        variance: the parameter that is divided by in the place of x's own.
        weight: a parameter that was multiplied before the quotient was there.
    """

    kind: Kind
    x: int
    axes: tuple[int, ...] = ()
    centred: bool = False
    spread: Spread = "moment"
    unbiased: bool = False
    eps: float = 0.0
    place: Place = "inside"
    top_centred: bool = False
    mean: int | None = None
    variance: int | None = None
    weight: int | None = None


class Statistics:
    """Notes of the values of one segment, and how those of statistics come about."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.notes: dict[int, Note] = {}
        self._origin: dict[int, int] = {}

    def _same(self, node: Node) -> Note | None:
        source = self._tensor(node, 0)
        if source is None:
            return None
        known = self.notes.get(source)
        if node.name == "getitem" and size_of(self.view, source) != size_of(
            self.view, node.outputs[0]
        ):
            return None
        if known is None or known.kind in ("centred", "square", "quotient"):
            if node.name in _KEEPS_SHAPE and self.view.is_float(source):
                self._origin[node.outputs[0]] = self._of(source)
            return (
                known if node.name in _KEEPS_SHAPE and known and known.kind != "quotient" else None
            )
        return known

    def _mean(self, node: Node) -> Note | None:
        source, axes = reduced(self.view, node)
        known = self.notes.get(source)
        if known is not None and known.kind == "square":
            spread: Spread = "deviation" if known.centred else "moment"
            return replace(known, kind="spread", axes=axes, spread=spread)
        return Note("mean", self._of(source), axes)

    def _sum(self, node: Node) -> Note | None:
        source, axes = reduced(self.view, node)
        known = self.notes.get(source)
        if known is not None and known.kind == "square":
            return replace(known, kind="sum", axes=axes, spread="length")
        return Note("sum", self._of(source), axes, spread="none")

    def _var(self, node: Node) -> Note | None:
        source, axes = reduced(self.view, node)
        first = self.view.argument(node, 1, "unbiased")
        unbiased = first if isinstance(first, bool) else self.view.argument(node, 2, "unbiased")
        correction = node.kwargs.get("correction", 1 if unbiased is None else int(unbiased))
        if correction not in (0, 1):
            return None
        spread = Note("spread", self._of(source), axes, True, "deviation", unbiased=correction == 1)
        if node.name.endswith("_mean") and len(node.outputs) == 2:
            self.notes[node.outputs[1]] = Note("mean", self._of(source), axes)
        return replace(spread, kind="root") if node.name.startswith("std") else spread

    def _length(self, node: Node) -> Note | None:
        order = self.view.argument(node, 1, "p", node.kwargs.get("ord", 2))
        if order not in (2, 2.0, "fro", None):
            return None
        source = self._tensor(node, 0)
        axes = self.view.argument(node, 2, "dim", node.kwargs.get("axis"))
        if source is None:
            return None
        return Note("root", self._of(source), axes_of(self.view, source, axes), spread="length")

    def _square(self, node: Node) -> Note | None:
        source = self._tensor(node, 0)
        if source is None:
            return None
        known = self.notes.get(source)
        if known is not None and known.kind == "mean":
            return replace(known, kind="square of mean")
        if known is not None and known.kind == "centred":
            return replace(known, kind="square", centred=True)
        return Note("square", self._of(source))

    def _of(self, value: int) -> int:
        return self._origin.get(value, value)

    def _tensor(self, node: Node, position: int) -> int | None:
        return self.view.tensor_argument(node, position, "input")
