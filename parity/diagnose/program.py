"""A part of the reference as a function: to run it elsewhere, on something else, or earlier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from parity.diagnose.view import View
from parity.localize.execute import Edit, Machine, execute
from parity.localize.tape import LEAF, Node, Tape

__all__ = ["Program", "ahead_of_time", "program_between"]

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Operations of the reference as a function.

    Attributes:
        tape: the run they belong to.
        nodes: the operations, ascending.
        source: the value that is its argument, or -1 for one without.
        result: the value that is its result.
        reads: further values it needs, none of them leaves.
        edits: operations that are known to differ, by index.
    """

    tape: Tape
    nodes: tuple[int, ...]
    source: int
    result: int
    reads: tuple[int, ...]
    edits: Mapping[int, Sequence[Edit]] = field(default_factory=dict)

    def __call__(self, x: Tensor | None, reads: tuple[Tensor, ...]) -> Tensor:
        """Its result for an argument."""
        env = dict(zip(self.reads, reads, strict=True))
        if x is not None:
            env[self.source] = x
        machine = Machine(self.tape, env, edits=self.edits)
        execute(machine, self.nodes)
        return machine.read(self.result)


def program_between(view: View, source: int, result: int, *, most: int = 40) -> Program | None:
    """The operations that make `result` of `source`; None if there are too many or none."""
    start = view.tape.values[source].node
    found = _collect(view, result, lambda value: value == source, start, most)
    if found is None or not found[1]:
        return None
    return _program(view, source, result, found[0], found[2])


def ahead_of_time(view: View, value: int, before: Node, *, most: int = 12) -> Program | None:
    """How to compute a value that the reference makes later, from what is there `before`."""
    found = _collect(view, value, lambda _: False, before.index - 1, most)
    if found is None:
        return None
    return _program(view, -1, value, found[0], found[2])


def _program(
    view: View, source: int, result: int, nodes: tuple[int, ...], reads: tuple[int, ...]
) -> Program:
    """The function, with what is known by now to differ in it."""
    tape, active = view.tape, view.segment.active
    edits = {index: tuple(active[index]) for index in nodes if index in active}
    made = {value for index in nodes for value in tape.nodes[index].outputs} | {source}
    asked = [v for some in edits.values() for edit in some for v in edit.reads if v not in made]
    further = [v for v in asked if tape.values[v].node != LEAF]
    return Program(tape, nodes, source, result, tuple(dict.fromkeys((*reads, *further))), edits)


def _collect(
    view: View, result: int, stop: Callable[[int], bool], start: int, most: int
) -> tuple[tuple[int, ...], bool, tuple[int, ...]] | None:
    """Operations after `start` that `result` needs, whether `stop` was met, what else is read."""
    tape = view.tape
    nodes: set[int] = set()
    reads: set[int] = set()
    met, queue = False, [result]
    while queue:
        value = queue.pop()
        made_by = tape.values[value].node
        if stop(value):
            met = True
        elif made_by == LEAF:
            continue
        elif made_by <= start:
            reads.add(value)
        elif made_by not in nodes:
            node = tape.nodes[made_by]
            if node.written or tape.values[value].group in tape.writers:
                return None
            nodes.add(made_by)
            if len(nodes) > most:
                return None
            queue += node.inputs
    if not nodes:
        return None
    return tuple(sorted(nodes)), met, tuple(sorted(reads))
