"""Carries a change of one call over to the other calls of the same place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from typing import Any

from parity.localize.execute import Edit, Operands
from parity.localize.tape import LEAF, Node, Span, Tape, refs_of

__all__ = ["Relocator"]

_STEPS_BACK = 3  # operations


def _or_as_it_is(apply: Callable[[Operands], Any], operands: Operands) -> Any:
    """A change that was made for another call; where it does not fit, nothing is changed."""
    try:
        return apply(operands)
    except (RuntimeError, IndexError, ValueError, TypeError, KeyError, AttributeError):
        return operands.default()


class Relocator:
    """Finds the counterpart of an operation, and of a value, in another call of the same module.

    Two operations correspond when they bear the same name and number within calls of one path.
    """

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._place_of: dict[int, int] = {}

    def everywhere(self, edits: Iterable[Edit]) -> dict[int, list[Edit]]:
        """The changes at every call of the places that they change, by operation.

        An edit of several calls of one place counts once for each place.
        """
        found: dict[int, list[Edit]] = {}
        done: set[tuple[str, str, int, int]] = set()
        given: dict[int, int] = {}
        for edit in edits:
            if edit.node < 0:
                for number in self._same_tap(~edit.node):
                    found.setdefault(~number, []).append(Edit(~number, edit.apply, edit.reads))
                continue
            position = given.get(edit.node, 0)
            given[edit.node] = position + 1
            node = self._tape.nodes[edit.node]
            address = (*self._address(node), position)
            if address in done:
                continue
            done.add(address)
            for other in self._counterparts(node):
                moved = self._move(edit, node, other)
                if moved is not None:
                    found.setdefault(other.index, []).append(moved)
        return found

    def _same_tap(self, number: int) -> list[int]:
        """All calls of a tap."""
        key = self._tape.taps[number].key
        return [
            place
            for place, tap in enumerate(self._tape.taps)
            if (tap.key.path, tap.key.port) == (key.path, key.port)
        ]

    def _address(self, node: Node) -> tuple[str, str, int]:
        path = self._tape.path(node)
        if node.span < 0:
            return (node.source, node.name, 0)
        return (path, node.name, node.occurrence)

    def _counterparts(self, node: Node) -> list[Node]:
        return self._by_address.get(self._address(node), [node])

    @cached_property
    def _by_address(self) -> dict[tuple[str, str, int], list[Node]]:
        found: dict[tuple[str, str, int], list[Node]] = {}
        for node in self._tape.nodes:
            found.setdefault(self._address(node), []).append(node)
        return found

    def _move(self, edit: Edit, node: Node, other: Node) -> Edit | None:
        if node is other:
            return edit
        reads = [self._value(value, node, other) for value in edit.reads]
        if any(value is None for value in reads):
            return None
        reads_there = tuple(v for v in reads if v is not None)
        return Edit(other.index, partial(_or_as_it_is, edit.apply), reads_there)

    def _value(self, value: int, node: Node, other: Node) -> int | None:
        """What `value`, read by `node`, is for `other`."""
        if value in node.inputs:
            position = node.inputs.index(value)
            return other.inputs[position] if position < len(other.inputs) else None
        if self._tape.values[value].name:
            return value
        for ours, theirs in zip(self._spans(node), self._spans(other), strict=False):
            found = self._within(value, ours, theirs)
            if found is not None:
                return found
        found = self._behind(value, node, other, _STEPS_BACK)
        if found is not None:
            return found
        if self._tape.values[value].node == LEAF:
            return value
        return self._of_call_before(value, node, other)

    def _behind(self, value: int, node: Node, other: Node, steps: int) -> int | None:
        """What `value`, read a few operations before `node`, is before `other`."""
        for ours, theirs in zip(node.inputs, other.inputs, strict=False):
            before, counterpart = self._maker(ours), self._maker(theirs)
            if before is None or counterpart is None or before.name != counterpart.name:
                continue
            if value in before.inputs:
                position = before.inputs.index(value)
                return counterpart.inputs[position] if position < len(counterpart.inputs) else None
            found = self._behind(value, before, counterpart, steps - 1) if steps > 1 else None
            if found is not None:
                return found
        return None

    def _maker(self, value: int) -> Node | None:
        made_by = self._tape.values[value].node
        return None if made_by == LEAF else self._tape.nodes[made_by]

    def _of_call_before(self, value: int, node: Node, other: Node) -> int | None:
        """The same of a value that the call before made, of which this one is no argument."""
        for ours, theirs in zip(self._spans(node), self._spans(other), strict=False):
            before, counterpart = self._before(ours), self._before(theirs)
            if before is None or counterpart is None:
                continue
            found = self._within(value, before, counterpart)
            if found is not None:
                return found
        return None

    def _before(self, span: Span) -> Span | None:
        """The call of the same path before."""
        calls = self._tape.calls_of[span.path]
        place = self._place_of.get(span.index)
        if place is None:
            for position, one in enumerate(calls):
                self._place_of[one.index] = position
            place = self._place_of[span.index]
        return calls[place - 1] if place else None

    def _spans(self, node: Node) -> Iterator[Span]:
        return self._tape.enclosing(node)

    def _within(self, value: int, ours: Span, theirs: Span) -> int | None:
        given = list(refs_of((ours.args, ours.kwargs)))
        if value in given:
            counterpart = list(refs_of((theirs.args, theirs.kwargs)))
            position = given.index(value)
            return counterpart[position] if position < len(counterpart) else None
        made_by = self._tape.values[value].node
        if made_by == LEAF or not ours.start <= made_by < ours.stop:
            return None
        node = self._tape.nodes[made_by]
        place = self._place(node, ours)
        if place is None:
            return None
        for index in range(theirs.start, theirs.stop):
            other = self._tape.nodes[index]
            alike = (other.name, other.occurrence) == (node.name, node.occurrence)
            fits = len(other.outputs) == len(node.outputs)
            if alike and fits and self._place(other, theirs) == place:
                return other.outputs[node.outputs.index(value)]
        return None

    def _place(self, node: Node, within: Span) -> tuple[str, ...] | None:
        """The calls between an operation and a call around it, by the ends of their paths."""
        names: list[str] = []
        for span in self._tape.enclosing(node):
            if span is within:
                return tuple(names)
            names.append(span.path.removeprefix(within.path))
        return None
