"""Operands of an operation by their place, and changes of them that compose with other changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node, Ref

__all__ = ["Change", "Place", "changed", "operand_at", "places", "rerun", "with_operands"]

# The way to an operand through nested arguments: `("a", 0, 1)` is the second item of the first
# argument, `("k", "weight")` a keyword argument.
Place = tuple[int | str, ...]
Change = Callable[[Any, Operands], Any]


def places(node: Node) -> Iterator[tuple[Place, int]]:
    """Where an operation gets tensors, and which values they are."""
    for position, item in enumerate(node.args):
        yield from _within(item, ("a", position))
    for name, item in node.kwargs.items():
        yield from _within(item, ("k", name))


def _within(item: Any, place: Place) -> Iterator[tuple[Place, int]]:
    if isinstance(item, Ref):
        yield place, item.value
    elif isinstance(item, tuple | list):
        for position, inner in enumerate(item):
            yield from _within(inner, (*place, position))


def operand_at(operands: Operands, place: Place) -> Any:
    """The operand at a place."""
    found: Any = operands.args if place[0] == "a" else operands.kwargs
    for step in place[1:]:
        found = found[step]
    return found


def changed(node: Node, changes: Mapping[Place, Change], reads: tuple[int, ...] = ()) -> Edit:
    """The change that runs an operation on other operands.

    Args:
        node: the operation.
        changes: by place, what gives the operand from the one that is there and all operands.
        reads: further values that `changes` find in `operands.reads`.
    """

    def apply(operands: Operands) -> Any:
        made = {
            place: change(operand_at(operands, place), operands)
            for place, change in changes.items()
        }
        return with_operands(operands, made)

    return Edit(node.index, apply, reads)


def with_operands(operands: Operands, made: Mapping[Place, Any]) -> Any:
    """The result of an operation, as other changes left it, with other operands."""
    args, kwargs = operands.args, operands.kwargs
    for place, value in made.items():
        if place[0] == "a":
            args = _put(args, place[1:], value)
        else:
            kwargs = _put(kwargs, place[1:], value)
    return rerun(operands, args, kwargs)


def _put(container: Any, place: Place, value: Any) -> Any:
    if not place:
        return value
    step, rest = place[0], place[1:]
    if isinstance(container, dict):
        return {**container, step: _put(container.get(step), rest, value)}
    items = list(container)
    items[int(step)] = _put(items[int(step)], rest, value)
    return items if isinstance(container, list) else tuple(items)


@dataclass(frozen=True, slots=True)
class _Again:
    """Stands for what an earlier change left, run on other operands."""

    operands: Operands
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self) -> Any:
        return rerun(self.operands, self.args, self.kwargs)


def rerun(operands: Operands, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operation with its earlier changes on other arguments.

    Two changes of one operation, of its weight and of its bias, then both take effect: the later
    one does not undo the earlier.
    """
    default = operands.default
    if isinstance(default, _Again):
        return rerun(default.operands, args, kwargs)
    if not isinstance(default, partial):
        return default()
    *bound, inner = default.args or (None,)
    if isinstance(inner, Operands):
        # What was bound before is part of the earlier change: how it was moved here, say.
        again = replace(inner, args=args, kwargs=kwargs, default=_Again(inner, args, kwargs))
        return default.func(*bound, again)
    return default.func(*args, **kwargs)
