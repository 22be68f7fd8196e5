"""The tape: every operation of one run of the reference, as a graph that can be run again.

Operations are those of torch's Python surface (`F.gelu`, `chunk`, `__add__`), not what these are
made of: that is the level at which conventions differ. A tape keeps no tensors that it can compute
again, only the run's leaves: parameters, constants, random draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import nn

from parity.tensors import TapKey

__all__ = ["Graph", "Leaf", "Node", "Ref", "Span", "Tap", "Tape", "Value", "refs_of", "resolve"]

LEAF = -1


class Ref(NamedTuple):
    """Stands for a tensor in the arguments and results of an operation."""

    value: int


@dataclass(slots=True)
class Value:
    """A tensor of the run.

    Attributes:
        node: the operation that made it, or -1 for a leaf.
        shape: its extents.
        dtype: its element type.
        group: which values share its memory: what is written into one is seen in all.
        name: of a leaf that is a parameter or buffer, below its root's name.
        trained: whether it is a parameter.
    """

    node: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    group: int
    name: str = ""
    trained: bool = False


@dataclass(slots=True)
class Leaf:
    """What a value that no operation made held when the run first met it."""

    tensor: torch.Tensor


@dataclass(slots=True)
class Node:
    """One operation.

    Attributes:
        index: its place on the tape.
        function: what was called.
        name: its plain name (`gelu`, `add`).
        args: its arguments, tensors as `Ref`.
        kwargs: its keyword arguments, in the same way.
        result: what it returned, in the same way.
        inputs: the values it read.
        outputs: the values it made.
        written: the values it changed in place.
        span: the call it ran in, or -1.
        occurrence: how often an operation of this name ran in that call before.
        source: the line of code (`mlp.py:95`).
    """

    index: int
    function: Callable[..., Any]
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    written: tuple[int, ...]
    span: int
    occurrence: int
    source: str


@dataclass(slots=True)
class Span:
    """One call of a module or of a recorded function.

    Attributes:
        index: its number, in the order in which calls began.
        path: its tap path.
        module: the module; None for a function.
        args: its arguments, tensors as `Ref`.
        kwargs: its keyword arguments, in the same way.
        result: what it returned, in the same way.
        start: first operation.
        stop: end of its operations, exclusive.
        parent: the call around it, or -1.
        phase: in which it ran.
        call: its number in that phase.
        step: the autoregressive step, or -1.
        thread: number of the thread it ran in.
    """

    index: int
    path: str
    module: nn.Module | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    start: int
    parent: int
    phase: str
    call: int
    step: int
    thread: int
    result: Any = None
    stop: int = -1


class Tap(NamedTuple):
    """A value under the name it is captured by.

    Attributes:
        key: its name.
        value: the value.
        at: how many operations had run when it was captured; later ones may change it.
        span: the call whose result or argument it is, or -1.
        step: the autoregressive step, or -1.
    """

    key: TapKey
    value: int
    at: int
    span: int
    step: int


@dataclass(slots=True, eq=False)
class Graph:
    """The lists that a tape consists of while it is recorded."""

    values: list[Value] = field(default_factory=list)
    leaves: dict[int, Leaf] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    taps: list[Tap] = field(default_factory=list)
    draws: list[int] = field(default_factory=list)
    loose: list[int] = field(default_factory=list)


@dataclass(eq=False)
class Tape:
    """A finished recording.

    Attributes:
        values: every tensor of the run.
        leaves: what the values without an operation held, by value.
        nodes: the operations, in order.
        spans: the calls, in the order in which they began.
        taps: what a capture of this run records, in its order.
        draws: the values that were drawn at random; they are leaves.
        loose: those of them that no tape gave, so that a candidate drew others.
    """

    values: list[Value]
    leaves: Mapping[int, Leaf]
    nodes: list[Node]
    spans: list[Span]
    taps: list[Tap]
    draws: list[int]
    loose: list[int]

    @classmethod
    def of(cls, graph: Graph) -> Tape:
        """A tape from its lists."""
        return cls(
            graph.values,
            graph.leaves,
            graph.nodes,
            graph.spans,
            graph.taps,
            graph.draws,
            graph.loose,
        )

    @cached_property
    def writers(self) -> dict[int, list[int]]:
        """Operations that write into each group of values, in order."""
        found: dict[int, list[int]] = {}
        for node in self.nodes:
            for value in node.written:
                writes = found.setdefault(self.values[value].group, [])
                if not writes or writes[-1] != node.index:
                    writes.append(node.index)
        return found

    @cached_property
    def first_made(self) -> dict[int, int]:
        """The operation that made each group of values, or -1 for leaves."""
        found: dict[int, int] = {}
        for value in self.values:
            found.setdefault(value.group, value.node)
        return found

    @cached_property
    def last_read(self) -> dict[int, int]:
        """The last operation that reads of each group of values."""
        return {
            self.values[value].group: node.index for node in self.nodes for value in node.inputs
        }

    @cached_property
    def readers(self) -> dict[int, list[int]]:
        """Operations that read each value, in order."""
        found: dict[int, list[int]] = {}
        for node in self.nodes:
            for value in node.inputs:
                found.setdefault(value, []).append(node.index)
        return found

    @cached_property
    def taps_of(self) -> dict[int, list[Tap]]:
        """Taps by the value they capture."""
        found: dict[int, list[Tap]] = {}
        for tap in self.taps:
            found.setdefault(tap.value, []).append(tap)
        return found

    @cached_property
    def number_of(self) -> dict[TapKey, int]:
        """Place of each tap among the taps."""
        return {tap.key: number for number, tap in enumerate(self.taps)}

    @cached_property
    def tap_of(self) -> dict[TapKey, Tap]:
        """Taps by name."""
        return {tap.key: tap for tap in self.taps}

    @cached_property
    def calls_of(self) -> dict[str, list[Span]]:
        """Calls by path, in order."""
        found: dict[str, list[Span]] = {}
        for span in self.spans:
            found.setdefault(span.path, []).append(span)
        return found

    def enclosing(self, node: Node) -> Iterator[Span]:
        """The calls that an operation ran in, innermost first."""
        index = node.span
        while index >= 0:
            span = self.spans[index]
            yield span
            index = span.parent

    def path(self, node: Node) -> str:
        """The tap path of the call an operation ran in; empty outside all."""
        return self.spans[node.span].path if node.span >= 0 else ""


def refs_of(value: Any) -> Iterator[int]:
    """The values that nested arguments or results refer to."""
    if isinstance(value, Ref):
        yield value.value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from refs_of(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from refs_of(item)
    elif isinstance(value, slice):
        yield from refs_of((value.start, value.stop, value.step))


def resolve(value: Any, read: Callable[[int], Any]) -> Any:
    """Nested arguments with what `read` gives in the place of each reference."""
    if isinstance(value, Ref):
        return read(value.value)
    if isinstance(value, tuple):
        items = [resolve(item, read) for item in value]
        # A named tuple (torch.return_types, torch.Size) is made in its own way.
        return tuple(items)
    if isinstance(value, list):
        return [resolve(item, read) for item in value]
    if isinstance(value, dict):
        return {name: resolve(item, read) for name, item in value.items()}
    if isinstance(value, slice):
        return slice(*resolve((value.start, value.stop, value.step), read))
    return value
