"""Other tensors that could stand in the place of an operand: of equal shape, and there in time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from weakref import WeakKeyDictionary

from parity.diagnose.view import View
from parity.diagnose.wording import LAYOUT, residual_parts, title
from parity.localize.tape import Node, Tape, refs_of

__all__ = ["Alternatives", "alternatives"]

MOST_INSIDE = 8
MOST_OUTSIDE = 8
MOST_CALLS = 5000
_views: WeakKeyDictionary[View, Alternatives] = WeakKeyDictionary()


def alternatives(view: View) -> Alternatives:
    """What could stand in the place of operands in a segment; computed once for a view."""
    found = _views.get(view)
    if found is None:
        found = _views[view] = Alternatives(view)
    return found


class Alternatives:
    """Values of a run by shape: those of the segment, and those the candidate dumped."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._tape: Tape = view.tape

    @cached_property
    def inside(self) -> dict[tuple[int, ...], list[int]]:
        """Values with a name of the segment, by shape, in order: inputs, results of calls, sums."""
        view = self._view
        found = [cut.value for cut in view.segment.slice.cuts]
        for span in view.spans:
            found += list(refs_of(span.result))
        for node in view.nodes:
            if node.name not in LAYOUT and residual_parts(view, node) is not None:
                found += node.outputs
        return self._by_shape(found)

    @cached_property
    def outside(self) -> dict[tuple[int, ...], list[int]]:
        """Values that the candidate dumped or calls were given, by shape, in order."""
        spans = self._tape.spans[:MOST_CALLS]
        given = [v for span in spans for v in refs_of((span.args, span.kwargs))]
        return self._by_shape((*given, *self._view.segment.known))

    def _by_shape(self, values: Iterable[int]) -> dict[tuple[int, ...], list[int]]:
        found: dict[tuple[int, ...], list[int]] = {}
        for value in dict.fromkeys(values):
            known = self._tape.values[value]
            if known.dtype.is_floating_point and not known.name and len(known.shape):
                found.setdefault(known.shape, []).append(value)
        for some in found.values():
            some.sort(key=lambda v: self._tape.values[v].node)
        return found

    def of(self, value: int, node: Node) -> Iterator[tuple[int, str]]:
        """What could stand for `value` in `node`, with a name, the nearest first."""
        shape = self._view.shape(value)
        inside = [v for v in self.inside.get(shape, ()) if self._fits(v, value, node)]
        outside = [v for v in self.outside.get(shape, ()) if self._fits(v, value, node)]
        picked = dict.fromkeys((*inside[::-1][:MOST_INSIDE], *self._nearest(outside)))
        named = {title(self._view, value): 1}
        for other in picked:
            name = title(self._view, other)
            number = named.get(name, 0)
            named[name] = number + 1
            yield other, f"{name}, {_ordinal(number)} before" if number else name

    def _nearest(self, values: list[int]) -> list[int]:
        """The last ones, and the first."""
        return values[::-1][:MOST_OUTSIDE] + values[:1]

    def _fits(self, other: int, value: int, node: Node) -> bool:
        known = self._tape.values[other]
        if (
            other == value
            or known.node >= node.index
            or known.dtype != self._tape.values[value].dtype
        ):
            return False
        return known.group != self._tape.values[value].group


def _ordinal(number: int) -> str:
    return {1: "one", 2: "two", 3: "three"}.get(number, str(number))
