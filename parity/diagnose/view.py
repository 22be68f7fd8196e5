"""What a convention family sees of a stretch of the reference: operations and their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from parity.diagnose.hypothesis import Site
from parity.localize.execute import Edit, Operands
from parity.localize.segment import Segment
from parity.localize.tape import LEAF, Node, Ref, Span, Tape, refs_of

__all__ = ["Region", "View"]

Tensor = torch.Tensor

MOST_PAIRS = 600


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch with one tensor in and one of the same type out.

    Attributes:
        source: the value that goes in.
        result: the value that comes out.
        node: the operation that makes it.
        path: tap path of the call it lies in or is.
        whole: whether it is a whole module call.
    """

    source: int
    result: int
    node: int
    path: str
    whole: bool


class View:
    """A segment, as families look at it. Values are the reference's on the candidate's tensors.

    Attributes:
        segment: the segment.
        tape: the reference's run.
        nodes: the operations, in order.
    """

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.tape: Tape = segment.tape
        self.nodes: tuple[Node, ...] = tuple(self.tape.nodes[i] for i in segment.nodes)
        self._inside = frozenset(segment.nodes)

    @property
    def theirs(self) -> Tensor:
        """The candidate's tensor at the segment's end."""
        return self.segment.theirs

    @property
    def ours(self) -> Tensor:
        """The reference's tensor there."""
        return self.segment.ours

    def value(self, value: int) -> Tensor:
        """A value of the run; one that was written into since shows what it became."""
        found = self.segment.env.get(value)
        if found is not None:
            return found
        return self.tape.leaves[value].tensor

    def has(self, value: int) -> bool:
        """Whether `value` can give it."""
        return value in self.segment.env or value in self.tape.leaves

    def shape(self, value: int) -> tuple[int, ...]:
        """Shape of a value."""
        return self.tape.values[value].shape

    def is_float(self, value: int) -> bool:
        """Whether a value is of floating point."""
        return self.tape.values[value].dtype.is_floating_point

    def is_parameter(self, value: int) -> bool:
        """Whether a value is a parameter or buffer of the reference."""
        return bool(self.tape.values[value].name)

    def name_of(self, value: int) -> str:
        """Name of a parameter or buffer; empty for other values."""
        return self.tape.values[value].name

    def is_constant(self, value: int) -> bool:
        """Whether a value is a leaf: no operation of the run made it."""
        return self.tape.values[value].node == LEAF

    def path(self, node: Node) -> str:
        """Tap path of the call an operation runs in."""
        return self.tape.path(node)

    def site(self, node: Node, operation: str = "") -> Site:
        """The place of an operation."""
        number = f".{node.occurrence}" if node.occurrence else ""
        return Site(self.path(node), operation or f"{node.name}{number}", node.source)

    def inside(self, index: int) -> bool:
        """Whether an operation belongs to the segment."""
        return index in self._inside

    def argument(self, node: Node, position: int, name: str, default: Any = None) -> Any:
        """An argument of an operation by position or keyword; tensors as `Ref`."""
        if len(node.args) > position:
            return node.args[position]
        return node.kwargs.get(name, default)

    def tensor_argument(self, node: Node, position: int, name: str) -> int | None:
        """The value given as an argument; None if none was."""
        found = self.argument(node, position, name)
        return found.value if isinstance(found, Ref) else None

    def consumers(self, value: int) -> list[Node]:
        """Operations of the segment that read a value."""
        return [self.tape.nodes[i] for i in self.tape.readers.get(value, ()) if i in self._inside]

    def producer(self, value: int) -> Node | None:
        """The operation of the segment that made a value; None for others."""
        index = self.tape.values[value].node
        return self.tape.nodes[index] if index in self._inside else None

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """Calls whose result is made in the segment, in order."""
        found: dict[int, Span] = {}
        for node in self.nodes:
            for span in self.tape.enclosing(node):
                if span.index in found:
                    break
                if span.stop >= 0 and any(
                    self.tape.values[v].node in self._inside for v in refs_of(span.result)
                ):
                    found[span.index] = span
        return tuple(found[i] for i in sorted(found))

    @cached_property
    def modules(self) -> tuple[Region, ...]:
        """Module calls with one tensor of floating point in and one out."""
        return tuple(region for span in self.spans if (region := self._region(span)) is not None)

    def _region(self, span: Span) -> Region | None:
        given = [
            v
            for v in dict.fromkeys(refs_of((span.args, span.kwargs)))
            if self.is_float(v) and not self.is_parameter(v)
        ]
        made = [v for v in dict.fromkeys(refs_of(span.result)) if self.is_float(v)]
        if len(given) != 1 or len(made) != 1 or not self.has(given[0]) or not self.has(made[0]):
            return None
        index = self.tape.values[made[0]].node
        if index not in self._inside or index < span.start:
            return None
        if len(self.tape.nodes[index].outputs) != 1:
            return None
        return Region(given[0], made[0], index, span.path, whole=True)

    @cached_property
    def pairs(self) -> tuple[Region, ...]:
        """Module calls, and values of one shape within a call of which one comes from the other."""
        found = {(r.source, r.result): r for r in self.modules}
        for region in self._loose_pairs():
            if len(found) >= MOST_PAIRS:
                break
            found.setdefault((region.source, region.result), region)
        return tuple(found.values())

    def _loose_pairs(self) -> Iterator[Region]:
        by_span: dict[int, list[Node]] = {}
        for node in self.nodes:
            by_span.setdefault(node.span, []).append(node)
        for nodes in by_span.values():
            origins: dict[int, set[int]] = {}
            for node in nodes:
                reached = set()
                for value in node.inputs:
                    reached |= origins.get(value, set()) | {value}
                for value in node.outputs:
                    origins[value] = reached
                if len(node.outputs) != 1 or not node.inputs:
                    continue
                result = node.outputs[0]
                if not self.is_float(result) or len(self.shape(result)) < 1:
                    continue
                for source in sorted(reached):
                    same = self.shape(source) == self.shape(result) and self.is_float(source)
                    if same and not self.is_parameter(source) and self.has(source):
                        yield Region(source, result, node.index, self.path(node), whole=False)

    def instead(self, region: Region, compute: Callable[[Tensor], Tensor]) -> Edit:
        """The change that makes a region's result `compute(source)`."""

        def apply(operands: Operands) -> Tensor:
            return compute(operands.reads[0])

        return Edit(region.node, apply, (region.source,))

    def after(self, node: Node, compute: Callable[[Any], Any]) -> Edit:
        """The change that makes an operation's result `compute(result)`."""
        return Edit(node.index, lambda operands: compute(operands.default()))

    def at_the_end(self, compute: Callable[[Tensor], Tensor]) -> Edit:
        """The change that makes the tensor at the segment's end `compute(tensor)`.

        It is made behind all operations, and is possible where there are none: between a module's
        result and that of the module around it.
        """
        return Edit(~self.segment.tap_number, lambda operands: compute(operands.default()))

    def with_arguments(
        self,
        node: Node,
        change: Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, Any]],
        reads: tuple[int, ...] = (),
    ) -> Edit:
        """The change that calls an operation with other arguments."""
        function = node.function

        def apply(operands: Operands) -> Any:
            args, kwargs = change(operands.args, operands.kwargs)
            return function(*args, **kwargs)

        return Edit(node.index, apply, reads)
