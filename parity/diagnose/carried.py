"""Finds what a module keeps from one call for the next: histories, tails, states."""

from __future__ import annotations

import weakref
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from parity.diagnose.operands import Place, places
from parity.localize.execute import Edit, Operands
from parity.localize.tape import LEAF, Node, Span, Tape, refs_of

__all__ = ["Carried", "Stream", "carried_of", "moved_slice", "sliced", "slicer_of", "streams_of"]


@dataclass(frozen=True, slots=True)
class Carried:
    """An operand that comes from an earlier call of the same module.

    Attributes:
        node: the operation that reads it.
        place: as which operand.
        value: the value.
        path: of the module whose calls these are.
        written: whether it is memory that an earlier call wrote into.
    """

    node: int
    place: Place
    value: int
    path: str
    written: bool = False


_TAPES: weakref.WeakKeyDictionary[Tape, dict[int, list[Carried]]] = weakref.WeakKeyDictionary()


def carried_of(tape: Tape) -> dict[int, list[Carried]]:
    """All operands that come from an earlier call, by the operation that reads them."""
    found = _TAPES.get(tape)
    if found is None:
        found = _TAPES[tape] = {}
        for node in tape.nodes:
            some = list(_operands(tape, node))
            if some:
                found[node.index] = some
    return found


def _operands(tape: Tape, node: Node) -> Iterator[Carried]:
    if node.span < 0:
        return
    for place, value in places(node):
        if value in node.written:
            continue
        made = tape.values[value].node
        start = tape.spans[node.span].start
        if made != LEAF and made < start:
            path = _same_module(tape, node, value, made)
            if path is not None:
                yield Carried(node.index, place, value, path)
                continue
        path = _written_before(tape, node, value)
        if path is not None:
            yield Carried(node.index, place, value, path, written=True)


def _same_module(tape: Tape, node: Node, value: int, made: int) -> str | None:
    """The module of which one call made a value and another reads it, without being given it."""
    makers = {span.path: span.index for span in tape.enclosing(tape.nodes[made])}
    for span in tape.enclosing(node):
        if value in set(refs_of((span.args, span.kwargs))):
            return None
        if span.path in makers:
            return span.path if makers[span.path] != span.index else None
    return None


def _written_before(tape: Tape, node: Node, value: int) -> str | None:
    """The module that wrote in an earlier call into memory that this call reads unchanged."""
    known = tape.values[value]
    writers = tape.writers.get(known.group)
    if not writers or (known.node != LEAF and known.node >= tape.spans[node.span].start):
        return None
    before = bisect_left(writers, node.index)
    if not before:
        return None
    last = tape.nodes[writers[before - 1]]
    inner: Span = tape.spans[node.span]
    if last.index >= inner.start:
        return None
    wrote = {span.path: span.index for span in tape.enclosing(last)}
    for span in tape.enclosing(node):
        if span.path in wrote:
            return span.path if wrote[span.path] != span.index else None
    return None


_THROUGH = frozenset({"sub", "clone", "detach", "contiguous", "to", "float", "mul"})


def slicer_of(tape: Tape, value: int) -> Node | None:
    """The operation that cut a carried value off what an earlier call had."""
    for _ in range(4):
        index = tape.values[value].node
        if index == LEAF:
            return None
        node = tape.nodes[index]
        if node.name == "getitem":
            return node if moved_slice(tape, node) is not None else None
        if node.name not in _THROUGH or not node.inputs:
            return None
        value = node.inputs[0]
    return None


def moved_slice(tape: Tape, node: Node) -> tuple[int, int, int, int] | None:
    """Axis, extent, start and stop of an indexing that cuts one axis and leaves the others."""
    if node.name != "getitem" or len(node.args) != 2 or not node.inputs:
        return None
    index = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
    shape = tape.values[node.inputs[0]].shape
    if not all(item is Ellipsis or isinstance(item, slice) for item in index):
        return None
    if Ellipsis in [item for item in index if not isinstance(item, slice)]:
        at = next(i for i, item in enumerate(index) if item is Ellipsis)
        fill = (slice(None),) * (len(shape) - len(index) + 1)
        index = (*index[:at], *fill, *index[at + 1 :])
    found = None
    for axis, item in enumerate(index):
        parts = (item.start, item.stop, item.step)
        if parts == (None, None, None):
            continue
        if not all(part is None or isinstance(part, int) for part in parts):
            return None
        start, stop, step = item.indices(shape[axis])
        if step != 1 or found is not None or stop <= start:
            return None
        found = (axis, shape[axis], start, stop)
    return found


def sliced(tape: Tape, node: Node, start: int, stop: int) -> Edit | None:
    """The indexing with its bounds moved; counted from the end, for inputs of any length."""
    cut = moved_slice(tape, node)
    if cut is None:
        return None
    axis, extent, first, last = cut
    length, behind = last - first + stop - start, extent - last - stop

    def apply(operands: Operands) -> Any:
        if operands.args[1:] != node.args[1:]:
            return operands.default()  # another indexing that is counted alike in another call
        x: torch.Tensor = operands.args[0]
        begin = x.shape[axis] - behind - length
        if begin < 0 or behind < 0:
            raise IndexError(begin)
        return x.narrow(axis, begin, length)

    return Edit(node.index, apply)


@dataclass(slots=True, eq=False)
class Stream:
    """How a module keeps the end of its input for its next call.

    Attributes:
        slicers: the operations that cut it off, one for each place.
        pads: the paddings that stand in for it in the first call, one for each place.
    """

    slicers: dict[tuple[str, int], Node] = field(default_factory=dict)
    pads: dict[tuple[str, int], Node] = field(default_factory=dict)


_STREAMS: weakref.WeakKeyDictionary[Tape, dict[str, Stream]] = weakref.WeakKeyDictionary()
JOINS = frozenset({"cat", "concat", "concatenate"})


def streams_of(tape: Tape) -> dict[str, Stream]:
    """The modules that join what they kept to their input, by path."""
    found = _STREAMS.get(tape)
    if found is not None:
        return found
    found = _STREAMS[tape] = {}
    for index, some in carried_of(tape).items():
        for one in some:
            slicer = slicer_of(tape, one.value) if tape.nodes[index].name in JOINS else None
            if slicer is not None:
                stream = found.setdefault(one.path, Stream())
                stream.slicers.setdefault((slicer.name, slicer.occurrence), slicer)
    for node in tape.nodes:
        stream_here = found.get(tape.path(node)) if node.name == "pad" else None
        if stream_here is not None:
            stream_here.pads.setdefault((node.name, node.occurrence), node)
    return found
