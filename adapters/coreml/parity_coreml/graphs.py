"""How torch's operations, and the values of a program, hang together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from parity_coreml.exported import Exported, Node
from parity_coreml.mil import Evaluator
from parity_coreml.placing import bits

__all__ = ["Match", "ProgramGraph", "Same", "TorchGraph", "norm_of", "says_nothing"]

# To see past what differs, so many operations are tried.
_NODES = 4
_FEW = 4  # numbers that may agree by chance
_COPIES = ("cast", "identity")


@dataclass(frozen=True, slots=True)
class Match:
    """What a value of the program is.

    Attributes:
        node: the operation of torch that makes the same.
        order: the axes of the program's value in the order of torch's; empty if they agree.
        distance: of the two, relative; 1 if they were only paired to see what follows.
    """

    node: Node
    order: tuple[int, ...] = ()
    distance: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Same:
    """Operations of torch that hold the same bits."""

    nodes: tuple[Node, ...]
    value: torch.Tensor
    norm: float


class TorchGraph:
    """What torch computes, and how its operations hang together.

    Attributes:
        same: all tensors that an input reaches.
        by_name: the same by the operation's name.
    """

    def __init__(self, exported: Exported, ours: Mapping[str, Any]) -> None:
        self.exported = exported
        self.same = tuple(_grouped(exported, ours))
        self.by_name = {node.name: same for same in self.same for node in same.nodes}
        self._returned = {node.name for node in exported.returned()}

    def alike(self, handle: int) -> int:
        """The first of the operations that hold the same bits as this; an input as it is."""
        node = self.exported.nodes.get(handle)
        return (
            self.by_name[node.name].nodes[0].handle
            if node and node.name in self.by_name
            else handle
        )

    def reached(self, found: Mapping[str, Match]) -> set[int]:
        """The operations of these matches, one for all alike."""
        return {self.alike(each.node.handle) for each in found.values()}

    def takes(self, node: Node) -> set[int]:
        """What an operation takes, one for all alike; of several results, what made them takes."""
        nodes = self.exported.nodes
        several = [nodes[each] for each in node.inputs if node.element >= 0 and each in nodes]
        return {self.alike(each) for one in several or [node] for each in one.inputs}

    def open_ends(self, reached: Collection[int]) -> list[Node]:
        """Operations without a value that lead to more without one, in order.

        First those that lead to a result; then those that nothing found depends on any more,
        because what takes them does not show what they add.
        """
        takers: dict[int, list[Node]] = {}
        leading: set[int] = set()
        others: list[Node] = []
        for node in reversed(self.exported.nodes.values()):
            after = [
                each
                for each in takers.get(node.handle, ())
                if self.alike(each.handle) not in reached
            ]
            if self.alike(node.handle) not in reached and node.name in self.by_name:
                if node.name in self._returned or any(each.handle in leading for each in after):
                    leading.add(node.handle)
                elif after:
                    others.append(node)
            for each in node.inputs:
                takers.setdefault(each, []).append(node)
        first = [each for each in self.exported.nodes.values() if each.handle in leading]
        return first[:_NODES] + others[::-1][:_NODES]


class ProgramGraph:
    """How the values of a program hang together.

    Attributes:
        order: of all values that some operation computes and none copies, by name.
        compressed: whether weights are, so that operations are farther from torch's.
    """

    def __init__(self, evaluator: Evaluator, exported: Exported, inputs: Iterable[str]) -> None:
        self.evaluator = evaluator
        graph = exported.program.graph_module.graph
        handles = {node.name: node.meta["debug_handle"] for node in graph.nodes}
        #: program's inputs -> the handles of the module's
        self.inputs = dict(zip(inputs, (handles[each] for each in exported.inputs), strict=True))
        self.taken: dict[str, tuple[str, ...]] = {}
        self.takers: dict[str, list[str]] = {}
        self.order: dict[str, int] = {}
        self.compressed = any(
            each.op_type.startswith("constexpr_") for each in evaluator.operations
        )
        for operation in evaluator.operations:
            self._read(operation)

    def _read(self, operation: Any) -> None:
        if _is_constant(operation):
            return
        taken = tuple(dict.fromkeys(self._sources(operation)))
        for variable in operation.outputs:
            self.taken[variable.name] = taken
            if operation.op_type not in _COPIES:
                self.order[variable.name] = len(self.order)
                for each in taken:
                    self.takers.setdefault(each, []).append(variable.name)

    def _sources(self, operation: Any) -> Iterator[str]:
        """Names of what an operation takes and is no constant; of a copy, what it copies."""
        for given in operation.inputs.values():
            for each in given if isinstance(given, list | tuple) else (given,):
                if each is None or (each.op is not None and _is_constant(each.op)):
                    continue
                copied = each.op is not None and each.op.op_type in _COPIES
                yield from self.taken[each.name] if copied else (each.name,)


def _is_constant(operation: Any) -> bool:
    # Weights that were compressed are unpacked by operations.
    kind: str = operation.op_type
    return kind == "const" or kind.startswith("constexpr_")


def _grouped(exported: Exported, ours: Mapping[str, Any]) -> Iterator[Same]:
    groups: dict[Any, list[Node]] = {}
    for node in exported.nodes.values():
        value = ours.get(node.name)
        if isinstance(value, torch.Tensor) and value.numel() and node.name not in exported.constant:
            groups.setdefault(bits(value), []).append(node)
    for nodes in groups.values():
        value = ours[nodes[0].name]
        yield Same(tuple(nodes), value, norm_of(value))


def says_nothing(value: torch.Tensor) -> bool:
    """Whether many other tensors may hold the same by chance."""
    few = value.numel() < _FEW or not value.is_floating_point()
    return few or bool((value == value.flatten()[0]).all())


def norm_of(value: torch.Tensor) -> float:
    """The Euclidean norm, in double precision."""
    return float(value.double().norm())
