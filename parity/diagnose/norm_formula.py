"""Reads normalisations that are written out of elementary operations.

Every value gets a note of what it is of some other value x: its mean, x without its mean, a square,
a mean of squares, a root, one over a root. x over its root is a normalisation.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from parity.diagnose.norm_calls import Slots
from parity.diagnose.norm_notes import Kind, Note, Statistics
from parity.diagnose.norm_reading import (
    SHAPES,
    from_parameter,
    number_of,
    operands_of,
)
from parity.diagnose.normalisation import Recipe, Spread
from parity.localize.tape import Node, Ref

__all__ = ["Formula"]


class Formula(Statistics):
    """Notes of one segment."""

    def note(self, node: Node) -> tuple[int, Recipe, Slots] | None:
        """Note what an operation makes; what was normalised and how, if it is a normalisation."""
        handler = _HANDLERS.get(node.name)
        if handler is None:
            return None
        try:
            found: Note | None = getattr(self, f"_{handler}")(node)
        except (TypeError, ValueError, IndexError, KeyError, OverflowError):
            return None
        if found is None or not node.outputs:
            return None
        self.notes[node.outputs[0]] = found
        if found.kind != "quotient":
            return None
        return found.x, self._recipe(found), self._slots(found)

    def _slots(self, found: Note) -> Slots:
        slots = Slots()
        if found.weight is not None:
            slots = slots.having("weight", found.weight, self.view.shape(found.weight))
        if found.mean is not None and found.variance is not None:
            # Of one shape, in which the mean was taken off.
            shape = self.view.shape(found.mean)
            slots = slots.having("mean", found.mean, shape)
            slots = slots.having("variance", found.variance, shape)
        return slots

    def _recipe(self, found: Note) -> Recipe:
        rank = len(self.view.shape(found.x))
        channel = found.axes[-1] if 1 - rank in found.axes or -1 in found.axes else 1 - rank
        if 1 - rank in found.axes and len(found.axes) > 1:
            channel = 1 - rank
        if found.variance is not None and found.mean is not None:
            shape = self.view.shape(found.mean)
            wide = [i - len(shape) for i, extent in enumerate(shape) if extent > 1]
            channel = wide[0] if len(wide) == 1 else channel
        return Recipe(
            found.top_centred,
            found.spread,
            found.axes,
            channel,
            eps=found.eps,
            place=found.place,
            unbiased=found.unbiased,
            running=found.variance is not None,
        )

    def _pow(self, node: Node) -> Note | None:
        left, right = operands_of(self.view, node)
        power = number_of(self.view, right)
        if power is None or not isinstance(left, Ref):
            return None
        if power == 2:
            return self._square(node)
        known = self.notes.get(left.value)
        if known is not None and known.kind in ("spread", "sum") and abs(power) == 0.5:
            return self._rooted(known, "root" if power > 0 else "inverse")
        if known is not None and known.kind == "root" and power == -1:
            return replace(known, kind="inverse")
        return None

    def _rooted(self, known: Note, kind: Kind) -> Note | None:
        if known.kind == "sum" and known.spread != "length":
            return None
        return replace(known, kind=kind)

    def _root(self, node: Node) -> Note | None:
        source = self._tensor(node, 0)
        known = self.notes.get(source) if source is not None else None
        if known is None or known.kind not in ("spread", "sum"):
            return None
        return self._rooted(known, "root" if node.name == "sqrt" else "inverse")

    def _reciprocal(self, node: Node) -> Note | None:
        source = self._tensor(node, 0)
        known = self.notes.get(source) if source is not None else None
        return (
            replace(known, kind="inverse") if known is not None and known.kind == "root" else None
        )

    def _add(self, node: Node) -> Note | None:
        known, number = self._with_number(node)
        if known is None:
            known, number = self._running_variance(node)
        if known is None or number is None or known.eps or not 0 <= number < 1:
            return None
        if known.kind in ("spread", "sum"):
            return replace(known, eps=number, place="inside")
        return replace(known, eps=number, place="outside") if known.kind == "root" else None

    def _running_variance(self, node: Node) -> tuple[Note | None, float | None]:
        """A parameter to which something small is added may be the variance of anything."""
        left, right = operands_of(self.view, node)
        for one, other in ((left, right), (right, left)):
            number = number_of(self.view, other)
            if not isinstance(one, Ref) or number is None or not 0 < number < 0.1:
                continue
            if from_parameter(self.view, one.value):
                note = Note("spread", -1, centred=True, spread="deviation")
                return replace(note, variance=one.value), number
        return None, None

    def _floor(self, node: Node) -> Note | None:
        least = number_of(self.view, self.view.argument(node, 1, "min", node.kwargs.get("other")))
        source = self._tensor(node, 0)
        known = self.notes.get(source) if source is not None else None
        if known is None or least is None or known.eps:
            return None
        if known.kind in ("spread", "sum"):
            return replace(known, eps=least, place="floor inside")
        return replace(known, eps=least, place="floor") if known.kind == "root" else None

    def _sub(self, node: Node) -> Note | None:
        left, right = operands_of(self.view, node)
        if not isinstance(left, Ref) or not isinstance(right, Ref):
            return None
        off = self.notes.get(right.value)
        if off is None:
            return self._running_mean(left, right)
        known = self.notes.get(left.value)
        same = known is not None and (known.x, known.axes) == (off.x, off.axes)
        if known is not None and same and (known.kind, off.kind) == ("spread", "square of mean"):
            return replace(known, spread="deviation", centred=True)
        if off.kind == "mean" and self._of(left.value) == off.x:
            return Note("centred", off.x, off.axes, True)
        return None

    def _running_mean(self, left: Any, right: Any) -> Note | None:
        if (
            isinstance(left, Ref)
            and isinstance(right, Ref)
            and from_parameter(self.view, right.value)
        ):
            return Note("centred", self._of(left.value), (), True, mean=right.value)
        return None

    def _div(self, node: Node) -> Note | None:
        left, right = operands_of(self.view, node)
        by = self.notes.get(right.value) if isinstance(right, Ref) else None
        if by is not None and by.kind == "root":
            if number_of(self.view, left) == 1:
                return replace(by, kind="inverse")
            return self._quotient(left, by, node)
        number = number_of(self.view, right)
        known = self.notes.get(left.value) if isinstance(left, Ref) else None
        if known is None or number is None or number == 0:
            return None
        return self._scaled(known, 1 / number)

    def _mul(self, node: Node) -> Note | None:
        left, right = operands_of(self.view, node)
        if isinstance(left, Ref) and left == right:
            return self._square(node)
        for top, by in ((left, right), (right, left)):
            known = self.notes.get(by.value) if isinstance(by, Ref) else None
            if known is not None and known.kind == "inverse":
                if isinstance(top, Ref) and from_parameter(self.view, top.value):
                    return replace(known, weight=top.value)
                return self._quotient(top, known, node)
        known, number = self._with_number(node)
        if known is None or number is None:
            return self._weighted(left, right, node)
        return self._scaled(known, number)

    def _weighted(self, left: Any, right: Any, node: Node) -> Note | None:
        """A tensor that is multiplied with a parameter before it is divided."""
        for top, by in ((left, right), (right, left)):
            if not isinstance(top, Ref) or not isinstance(by, Ref):
                continue
            known = self.notes.get(top.value)
            same = self.view.shape(node.outputs[0]) == self.view.shape(top.value)
            if same and from_parameter(self.view, by.value) and not self._small(top.value):
                if known is not None and known.kind == "centred":
                    return replace(known, kind="weighted", top_centred=True, weight=by.value)
                if known is None:
                    return Note("weighted", self._of(top.value), weight=by.value)
        return None

    def _small(self, value: int) -> bool:
        """Whether a value is a parameter itself."""
        return from_parameter(self.view, value)

    def _scaled(self, known: Note, factor: float) -> Note | None:
        """A sum that becomes a mean, or the length of a vector that becomes its RMS."""
        count = self._count(known)
        if known.kind == "sum":
            if known.spread == "none":
                same = math.isclose(factor * count, 1.0, rel_tol=1e-6)
                return replace(known, kind="mean") if same else None
            for unbiased in (False, True):
                if count > unbiased and math.isclose(factor * (count - unbiased), 1, rel_tol=1e-6):
                    spread: Spread = "deviation" if known.centred else "moment"
                    return replace(known, kind="spread", spread=spread, unbiased=unbiased)
        root = math.sqrt(count)
        length = known.kind == "root" and known.spread == "length"
        if length and math.isclose(root * factor, 1.0, rel_tol=1e-6):
            return replace(known, spread="moment", eps=known.eps / root)
        return None

    def _quotient(self, top: Any, by: Note, node: Node) -> Note | None:
        if not isinstance(top, Ref):
            return None
        known = self.notes.get(top.value)
        weighted = known is not None and known.kind == "weighted"
        centred = known is not None and (known.kind == "centred" or known.top_centred)
        x = known.x if (centred or weighted) and known is not None else self._of(top.value)
        if weighted and known is not None:
            by = replace(by, weight=known.weight)
        if by.variance is not None:
            if not centred or known is None or known.mean is None:
                return None
            by = replace(by, x=x, mean=known.mean)
            own, other = self.view.shape(known.mean), self.view.shape(by.variance or 0)
            if math.prod(own) != math.prod(other):
                return None
        elif centred and known is not None and known.mean is not None:
            return None
        if x != by.x or self.view.shape(node.outputs[0]) != self.view.shape(x):
            return None
        return replace(by, kind="quotient", top_centred=centred)

    def _count(self, known: Note) -> int:
        shape = self.view.shape(known.x)
        return math.prod(shape[axis] for axis in known.axes)

    def _with_number(self, node: Node) -> tuple[Note | None, float | None]:
        for one, other in (operands_of(self.view, node), operands_of(self.view, node)[::-1]):
            known = self.notes.get(one.value) if isinstance(one, Ref) else None
            number = number_of(self.view, other)
            if known is not None and number is not None:
                return known, number
        return None, None


_HANDLERS = {
    **dict.fromkeys((*SHAPES, "getitem"), "same"),
    **dict.fromkeys(("var", "std", "var_mean", "std_mean"), "var"),
    **dict.fromkeys(("norm", "linalg_vector_norm", "linalg_norm", "vector_norm"), "length"),
    **dict.fromkeys(("clamp", "clamp_min", "maximum", "max"), "floor"),
    "mean": "mean",
    "sum": "sum",
    "square": "square",
    "pow": "pow",
    "sqrt": "root",
    "rsqrt": "root",
    "reciprocal": "reciprocal",
    "add": "add",
    "sub": "sub",
    "rsub": "sub",
    "subtract": "sub",
    "div": "div",
    "divide": "div",
    "true_divide": "div",
    "mul": "mul",
    "multiply": "mul",
}
