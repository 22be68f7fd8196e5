"""Other parameters of the model that could stand where one stands: same shape, same use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from parity.diagnose.view import View
from parity.localize.tape import Node, Ref

__all__ = ["siblings"]

MOST = 8


def siblings(view: View, values: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Parameters that another operation of the same name reads in the same places, nearest first.

    Args:
        view: the segment.
        values: parameters that belong together: a weight, or weight and bias of one operation.
            Where no operation reads all of them, the first is looked for alone.
    """
    tape = view.tape
    home = _reader(view, values[0])
    if home is None:
        return
    places = [_place(home, value) for value in values]
    if any(place is None for place in places):
        values, places = values[:1], places[:1]
    shape = view.shape(values[0])
    found: dict[tuple[int, ...], int] = {}
    for value in tape.leaves:
        if value == values[0] or view.shape(value) != shape or not view.is_parameter(value):
            continue
        for index in tape.readers.get(value, ())[:1]:
            node = tape.nodes[index]
            together = tuple(_at(node, place) for place in places)
            if node.name != home.name or together[0] != value or not _alike(view, together, values):
                continue
            found.setdefault(together, abs(index - home.index))
    yield from sorted(found, key=lambda together: found[together])[:MOST]


def _reader(view: View, value: int) -> Node | None:
    readers = view.tape.readers.get(value, ())
    inside = [index for index in readers if view.inside(index)] or list(readers[:1])
    return view.tape.nodes[inside[0]] if inside else None


Place = int | str | None


def _place(node: Node, value: int) -> Place:
    named: list[tuple[int | str, Any]] = [*enumerate(node.args), *node.kwargs.items()]
    return next((key for key, arg in named if arg == Ref(value)), None)


def _at(node: Node, place: Place) -> int:
    if isinstance(place, int):
        found = node.args[place] if place < len(node.args) else None
    else:
        found = node.kwargs.get(place or "")
    return found.value if isinstance(found, Ref) else -1


def _alike(view: View, ones: tuple[int, ...], others: tuple[int, ...]) -> bool:
    return all(
        one >= 0 and view.is_parameter(one) and view.shape(one) == view.shape(other)
        for one, other in zip(ones, others, strict=True)
    )
