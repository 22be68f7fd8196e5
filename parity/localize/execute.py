"""Runs a tape, or a part of it, again: with other tensors put in, other operations, other types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from parity.localize.precision import Precision, leaf_in, run_in
from parity.localize.tape import LEAF, Node, Tape, refs_of, resolve

__all__ = ["Edit", "Environment", "Machine", "Operands", "Precision", "affected", "execute"]

Tensor = torch.Tensor
Environment = dict[int, Tensor]


@dataclass(frozen=True, slots=True)
class Operands:
    """What an operation that is changed has at hand.

    Attributes:
        args: its arguments.
        kwargs: its keyword arguments.
        default: runs the operation, as other changes of it left it.
        reads: the further values that the change asked for.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    default: Callable[[], Any]
    reads: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """An operation of the tape that is replaced.

    Attributes:
        node: its index; or `~n` for what the tape's n-th tap captures, between the operation that
            made it and whoever reads it.
        apply: gives its result.
        reads: values that `apply` gets besides the operation's own inputs; computed before it.
    """

    node: int
    apply: Callable[[Operands], Any]
    reads: tuple[int, ...] = ()


@dataclass(slots=True, eq=False)
class Machine:
    """What a run of a tape needs.

    Attributes:
        tape: the tape.
        env: the values that are there.
        edits: operations that are replaced, by index.
        precision: in which it runs; None for that of the recording.
    """

    tape: Tape
    env: Environment = field(default_factory=dict)
    edits: Mapping[int, Sequence[Edit]] = field(default_factory=dict)
    precision: Precision | None = None

    def read(self, value: int) -> Tensor:
        """A value; leaves are fetched when they are first read."""
        found = self.env.get(value)
        if found is None:
            found = self.env[value] = self._leaf(value)
        return found

    def step(self, node: Node) -> None:
        """Run one operation and keep what it made."""
        args, kwargs = resolve(node.args, self.read), resolve(node.kwargs, self.read)
        call: Callable[[], Any]
        if self.precision is not None:
            call = partial(run_in, self.precision, self.tape, node, args, kwargs)
        else:
            call = partial(node.function, *args, **kwargs)
        for edit in self.edits.get(node.index, ()):
            reads = tuple(map(self.read, edit.reads))
            call = partial(edit.apply, Operands(args, kwargs, call, reads))
        bind(node.result, call(), self.env)

    def at_tap(self, number: int) -> None:
        """Change what a tap captures, where that is asked for."""
        value = self.tape.taps[number].value
        for edit in self.edits.get(~number, ()):
            reads = tuple(map(self.read, edit.reads))
            read = partial(self.read, value)
            self.env[value] = edit.apply(Operands((read(),), {}, read, reads))

    def _leaf(self, value: int) -> Tensor:
        if self.tape.values[value].node != LEAF:
            raise KeyError(value)
        tensor = self.tape.leaves[value].tensor
        if self.precision is not None:
            tensor = leaf_in(self.precision, tensor)
        if self.tape.values[value].group in self.tape.writers:
            tensor = tensor.clone()  # the run will write into it
        return tensor


def bind(pattern: Any, result: Any, env: Environment) -> None:
    """Put the tensors of a result where the references of `pattern` say."""
    if isinstance(result, Tensor):
        for value in refs_of(pattern):
            env[value] = result
            return
    elif isinstance(result, tuple | list) and isinstance(pattern, tuple | list):
        for part, item in zip(pattern, result, strict=False):
            bind(part, item, env)
    elif isinstance(result, dict) and isinstance(pattern, dict):
        for name, item in result.items():
            bind(pattern.get(name), item, env)


Stop = Callable[[int, Machine], None]


def execute(machine: Machine, nodes: Iterable[int], *, after: Stop | None = None) -> None:
    """Run operations in order.

    Args:
        machine: holds the values, and gets those that are made.
        nodes: their indices, ascending.
        after: called after each with how many operations of the tape are done.
    """
    tape = machine.tape
    with torch.no_grad():
        for index in nodes:
            machine.step(tape.nodes[index])
            if after is not None:
                after(index + 1, machine)


def affected(
    tape: Tape,
    nodes: Sequence[int],
    roots: Iterable[int],
    edits: Mapping[int, Sequence[Edit]] | None = None,
) -> Iterator[int]:
    """Those of `nodes` that the result of one of the nodes `roots` reaches, themselves included.

    Operations that are replaced by `edits` depend on what these read.

    Memory that several values share counts as one: what is written is seen by later readers.
    """
    starts = set(roots)
    touched_values: set[int] = set()
    touched_groups: set[int] = set()
    for index in nodes:
        node = tape.nodes[index]
        reads = [value for edit in (edits or {}).get(index, ()) for value in edit.reads]
        hit = index in starts or any(
            v in touched_values or tape.values[v].group in touched_groups
            for v in (*node.inputs, *reads)
        )
        if not hit:
            continue
        touched_values.update(node.outputs)
        for value in node.written:
            touched_groups.add(tape.values[value].group)
        yield index
