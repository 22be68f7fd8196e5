"""Names from the graph itself: the metadata of torch's exporter, or the names of its nodes."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from parity_onnx.names import ROOT, Named, Names, Unnamed

__all__ = ["metadata_names", "node_names", "scopes_of"]

_SCOPES = "pkg.torch.onnx.name_scopes"
_SIGNATURE = "pkg.torch.export.ExportedProgram.graph_signature"
_PARAMETER = re.compile(r"(?:PARAMETER|BUFFER) target='([^']+)'")


@dataclass(slots=True)
class _Stretch:
    """Nodes that one call of a module comes to."""

    path: str
    call: int
    made: dict[str, None] = field(default_factory=dict)
    nodes: set[int] = field(default_factory=set)


def metadata_names(graph: Any) -> Names | None:
    """From what `torch.onnx.export(dynamo=True)` writes at each node; None where it wrote nothing.

    Args:
        graph: an `onnx.GraphProto`.
    """
    scopes = [scopes_of(node) for node in graph.node]
    if not any(scopes):
        return None
    names = _from_scopes(graph, scopes, "the exporter's metadata")
    known = {one.path for one in names.named} | {one.path for one in names.unnamed}
    hidden = [path for path in _with_parameters(graph) if path not in known]
    lost = tuple(Unnamed(path, "no node of the graph says that it is of it") for path in hidden)
    return Names(names.origin, names.named, (*names.unnamed, *lost))


def node_names(graph: Any) -> Names | None:
    """From node names such as `/layers.0/norm/Add`; None where no node has one.

    The older exporter of torch names nodes so.
    """
    scopes = [_parts(node.name) for node in graph.node]
    if not any(scopes):
        return None
    return _from_scopes(graph, scopes, "the names of the nodes")


def scopes_of(node: Any) -> tuple[str, ...]:
    """Paths of the modules that a node is of, from the outside in; empty where it does not say."""
    text = next((prop.value for prop in node.metadata_props if prop.key == _SCOPES), "")
    try:
        found = ast.literal_eval(text) if text else []
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    # The last one is the operation itself, the first the whole model.
    return tuple(str(path) for path in found[1:-1] if path) if isinstance(found, list) else ()


def _parts(name: str) -> tuple[str, ...]:
    inner = [part for part in name.split("/")[1:-1] if part]
    return tuple(".".join(inner[: i + 1]) for i in range(len(inner)))


def _with_parameters(graph: Any) -> list[str]:
    """Modules that hold parameters or buffers, by what the exporter says of its inputs."""
    text = next((prop.value for prop in graph.metadata_props if prop.key == _SIGNATURE), "")
    owners = (target.rpartition(".")[0] for target in _PARAMETER.findall(text))
    return list(dict.fromkeys(owner for owner in owners if owner))


def _from_scopes(graph: Any, scopes: Sequence[tuple[str, ...]], origin: str) -> Names:
    outputs = [one.name for one in graph.output]
    used_by, computed = _users(graph.node), _computed(graph)
    named: list[Named] = []
    unnamed: list[Unnamed] = []
    for stretch in _stretches(graph.node, scopes):
        leaving = [
            value
            for value in stretch.made
            if value in computed and (value in outputs or used_by.get(value, set()) - stretch.nodes)
        ]
        if len(leaving) == 1:
            named.append(Named(leaving[0], stretch.path, "", stretch.call))
        elif leaving:
            said = ", ".join(leaving[:3]) + (", ..." if len(leaving) > 3 else "")
            unnamed.append(
                Unnamed(
                    stretch.path,
                    f"{len(leaving)} of its values are used outside it ({said}): which is its "
                    "output is in the file that parity_onnx.export writes, or say it in `names`",
                )
            )
    named += [Named(v, ROOT, str(i) if i else "", 0) for i, v in enumerate(outputs)]
    return Names(origin, tuple(named), tuple(dict.fromkeys(unnamed)))


def _computed(graph: Any) -> set[str]:
    """The values that depend on what a run is given. Constants are shared between modules."""
    stored = {one.name for one in graph.initializer}
    found = {one.name for one in graph.input} - stored
    for node in graph.node:
        if not found.isdisjoint(_consumed(node)):
            found.update(node.output)
    return found


def _users(nodes: Iterable[Any]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for number, node in enumerate(nodes):
        for value in _consumed(node):
            found.setdefault(value, set()).add(number)
    return found


def _consumed(node: Any) -> Iterable[str]:
    """What a node takes, with what the bodies inside it take from around them."""
    yield from node.input
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            for inner in body.node:
                yield from _consumed(inner)


def _stretches(nodes: Sequence[Any], scopes: Sequence[tuple[str, ...]]) -> list[_Stretch]:
    """The calls of all modules. A call ends where a node outside the module comes.

    Nodes that say nothing, since an optimiser has put them there, end no call.
    """
    found: list[_Stretch] = []
    running: dict[str, _Stretch] = {}
    calls: Counter[str] = Counter()
    for number, (node, around) in enumerate(zip(nodes, scopes, strict=True)):
        if not around and _says_nothing(node):
            around = tuple(running)  # noqa: PLW2901
        running = {path: running[path] for path in around if path in running}
        for path in around:
            if path not in running:
                running[path] = _Stretch(path, calls[path])
                calls[path] += 1
                found.append(running[path])
            running[path].nodes.add(number)
            running[path].made.update(dict.fromkeys(v for v in node.output if v))
    return found


def _says_nothing(node: Any) -> bool:
    return not node.name.startswith("/") and all(p.key != _SCOPES for p in node.metadata_props)
