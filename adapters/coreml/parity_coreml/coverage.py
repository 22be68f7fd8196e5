"""How much of a model was really compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from parity_coreml.attribution import Side
from parity_coreml.exported import Exported, Node
from parity_coreml.placing import bits
from parity_coreml.sidecar import Sidecar

__all__ = ["Coverage", "Share", "cover"]


@dataclass(frozen=True, slots=True)
class Share:
    """Some of a whole.

    Attributes:
        compared: how many were compared.
        total: how many there are.
        left: names of those that were not.
    """

    compared: int
    total: int
    left: tuple[str, ...] = ()

    def __str__(self) -> str:
        share = 100 * self.compared / self.total if self.total else 0.0
        # Rounded up it would hide what is missing.
        return f"{self.compared:,} of {self.total:,} ({int(share * 10) / 10:g} %)"


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was compared.

    Attributes:
        modules: outputs of modules, by call.
        parameters: elements of parameters and buffers that feed an operation that was compared.
        edges: tensors that go from one operation of the exported graph to another.
    """

    modules: Share
    parameters: Share
    edges: Share

    def __str__(self) -> str:
        return f"modules {self.modules}, parameters {self.parameters}, graph edges {self.edges}"


def cover(
    exported: Exported, sidecar: Sidecar, side: Side, values: Iterable[str] | None = None
) -> Coverage:
    """What one step of a comparison covered.

    Args:
        exported: the module.
        sidecar: its map.
        side: of the step.
        values: names that were compared; all that are mapped by default.
    """
    mapped = set(side.ours_laid)
    names = mapped if values is None else set(values) & mapped
    constant = {each.handle for each in exported.nodes.values() if each.name in exported.constant}
    compared = _compared(exported, side, names)
    return Coverage(
        _modules(sidecar, names),
        _parameters(exported, compared, constant),
        _edges(exported, compared, constant),
    )


def _compared(exported: Exported, side: Side, names: Iterable[str]) -> set[int]:
    """Nodes whose tensor was compared, under whatever name it stands, or all of whose tensors."""
    seen = {bits(side.ours[side.nodes[name].name]) for name in names}
    found = {
        node.handle
        for node in exported.nodes.values()
        if isinstance(side.ours.get(node.name), torch.Tensor) and bits(side.ours[node.name]) in seen
    }
    parts: dict[int, list[int]] = {}
    for node in exported.nodes.values():
        if node.element >= 0:
            parts.setdefault(node.inputs[0], []).append(node.handle)
    return found | {whole for whole, each in parts.items() if found.issuperset(each)}


def _modules(sidecar: Sidecar, names: set[str]) -> Share:
    left = [
        *(str(each) for each in sidecar.placed if each.value not in names),
        *(str(each) for each in sidecar.unplaced),
    ]
    total = len(sidecar.placed) + len(sidecar.unplaced)
    return Share(total - len(left), total, tuple(left))


def _parameters(exported: Exported, compared: set[int], constant: set[int]) -> Share:
    users = _users(exported, constant)
    sizes = _sizes(exported)
    covered = {name for name in sizes if users.get(name, set()) & compared}
    return Share(
        sum(sizes[name] for name in covered),
        sum(sizes.values()),
        tuple(name for name in sizes if name not in covered),
    )


def _users(exported: Exported, constant: set[int]) -> dict[str, set[int]]:
    """By parameter the operations that it feeds, through those that become constants too."""
    origin: dict[int, set[str]] = {}
    users: dict[str, set[int]] = {}
    for node in exported.nodes.values():
        feeding = set(node.parameters).union(*(origin.get(each, set()) for each in node.inputs))
        if node.handle in constant:
            origin[node.handle] = feeding
            continue
        for name in feeding:
            users.setdefault(name, set()).add(node.handle)
    return users


def _sizes(exported: Exported) -> dict[str, int]:
    used = {name for node in exported.nodes.values() for name in node.parameters}
    held: Mapping[str, Any] = {**exported.program.constants, **exported.program.state_dict}
    return {
        name: tensor.numel()
        for name, tensor in held.items()
        if name in used and isinstance(tensor, torch.Tensor)
    }


def _edges(exported: Exported, compared: set[int], constant: set[int]) -> Share:
    edges = [
        (each, node)
        for node in exported.nodes.values()
        for each in node.inputs
        if each in exported.nodes and each not in constant
    ]
    left = [edge for edge in edges if edge[0] not in compared]
    return Share(len(edges) - len(left), len(edges), tuple(_edge(exported, *each) for each in left))


def _edge(exported: Exported, handle: int, node: Node) -> str:
    return f"{exported.nodes[handle].name} -> {node.name}"
