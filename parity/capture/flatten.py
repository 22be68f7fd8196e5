"""Nested arguments and results -> a flat list of leaves, each with the slot it is found under."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass

__all__ = ["leaves", "slot_of"]

MAX_DEPTH = 8  # structures that refer to themselves end here


def slot_of(place: str) -> str:
    """The slot of a leaf: the first of several positions, and the only one, is the empty slot."""
    return "" if place == "0" else place


def leaves(
    value: object, leaf: type | tuple[type, ...], *, place: str = ""
) -> list[tuple[str, object]]:
    """The instances of `leaf` in `value`, each with its slot.

    Tuples, lists, mappings and dataclasses are entered; other objects are not. `(a, (b, c))`
    yields slots ``""``, ``"1.0"``, ``"1.1"``; `{"x": a}` yields ``"x"``.

    Args:
        value: anything.
        leaf: the types to look for.
        place: slot of `value` itself within something larger.
    """
    if isinstance(value, leaf):
        return [(slot_of(place), value)]
    return [(slot_of(where), found) for where, found in _walk(value, leaf, place, MAX_DEPTH)]


def _walk(
    value: object, leaf: type | tuple[type, ...], place: str, depth: int
) -> Iterator[tuple[str, object]]:
    if isinstance(value, leaf):
        yield place, value
    elif depth:
        for name, child in _children(value):
            where = f"{place}.{name}" if place else name
            yield from _walk(child, leaf, where, depth - 1)


def _children(value: object) -> Iterable[tuple[str, object]]:
    if isinstance(value, (tuple, list)):
        return ((str(position), child) for position, child in enumerate(value))
    if isinstance(value, Mapping):
        return ((str(key), child) for key, child in value.items())
    if is_dataclass(value) and not isinstance(value, type):
        return ((field.name, getattr(value, field.name, None)) for field in fields(value))
    return ()
