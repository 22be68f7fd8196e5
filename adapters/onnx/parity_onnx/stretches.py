"""Which value of a graph is which module's output, where the nodes say what modules they are of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from parity_onnx.names import ROOT, Named, Names, Unnamed

__all__ = ["Scope", "names_from"]


class Scope(NamedTuple):
    """A module that a node is of; `mark` differs where the graph itself tells calls apart."""

    path: str
    mark: str = ""


Scopes = tuple[Scope, ...]


@dataclass(slots=True)
class _Stretch:
    """Nodes that one call of a module comes to."""

    path: str
    mark: str
    call: int
    made: dict[str, None] = field(default_factory=dict)
    nodes: set[int] = field(default_factory=set)


def names_from(
    graph: Any, scopes: Sequence[Scopes | None], origin: str, holders: Iterable[str]
) -> Names:
    """Names of the values that leave a module's nodes, if they are one a call.

    Args:
        graph: an `onnx.GraphProto`.
        scopes: of each node, from the outside in; None where it says nothing, since a tool has
            put it there.
        origin: what said so, in words.
        holders: paths of modules that hold parameters.
    """
    view = _View(graph, scopes, holders)
    outputs = [one.name for one in graph.output]
    named: list[Named] = []
    unnamed: list[Unnamed] = []
    placed = _placed(graph.node, scopes, view.used_by)
    for stretch in _whole(_stretches(graph.node, placed, scopes), view):
        values = view.leaving(stretch)
        if why := view.why_not(stretch, values):
            unnamed.append(Unnamed(stretch.path, why))
        elif values:
            named.append(Named(view.dequantised(values[0]), stretch.path, "", stretch.call))
    named += [Named(v, ROOT, str(i) if i else "", 0) for i, v in enumerate(outputs)]
    unnamed += [Unnamed(path, "no node of the graph says that it is of it") for path in view.hidden]
    return Names(origin, tuple(named), tuple(dict.fromkeys(unnamed)))


class _View:
    """A graph, as one looks for the outputs of modules in it.

    Attributes:
        nodes: its nodes.
        used_by: numbers of nodes by the value that they take.
        hidden: modules that hold parameters, and that no node says that it is of.
    """

    def __init__(self, graph: Any, scopes: Sequence[Scopes | None], holders: Iterable[str]) -> None:
        self.nodes = graph.node
        self.used_by = _users(graph.node)
        self._silent = {number for number, own in enumerate(scopes) if own is None}
        self._computed, self._outputs = _computed(graph), {one.name for one in graph.output}
        stated = {scope.path for own in scopes for scope in own or ()}
        self.hidden = [path for path in dict.fromkeys(holders) if path not in stated]

    def leaving(self, stretch: _Stretch) -> list[str]:
        """The values of a call that are used outside it."""
        return [
            value
            for value in stretch.made
            if value in self._computed
            and (value in self._outputs or self.used_by.get(value, set()) - stretch.nodes)
        ]

    def why_not(self, stretch: _Stretch, values: Sequence[str]) -> str:
        """Why none of the values that leave a call is known to be its output; else empty."""
        if len(values) > 1:
            said = ", ".join(values[:3]) + (", ..." if len(values) > 3 else "")
            words = f"{len(values)} of its values are used outside it ({said}): which is its "
            return (
                f"{words}output is in the file that parity_onnx.export writes, or say it in `names`"
            )
        inside = [path for path in self.hidden if path.startswith(f"{stretch.path}.")]
        users = {user for value in values for user in self.used_by.get(value, set())}
        if inside and not self._silent.isdisjoint(users - stretch.nodes):
            return f"its end may be among the nodes that name no module, as {inside[-1]} is"
        return ""

    def dequantised(self, value: str) -> str:
        """`value`, or what small integers are made into, where nobody uses them as they are."""
        users = [self.nodes[user] for user in self.used_by.get(value, ())]
        if [one.op_type for one in users] == ["DequantizeLinear"] and users[0].input[0] == value:
            return str(users[0].output[0])
        return value


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


def _placed(
    nodes: Sequence[Any], scopes: Sequence[Scopes | None], used_by: Mapping[str, set[int]]
) -> list[Scopes]:
    """The scopes of all nodes: one that says nothing is of what its neighbours share.

    So a fused node between two nodes of one module is of that module, and what turns a module's
    output into small integers for the next one is of neither.
    """
    ahead = list(scopes)
    for number in reversed(range(len(nodes))):
        if ahead[number] is None:
            users = (ahead[user] for v in nodes[number].output for user in used_by.get(v, ()))
            ahead[number] = _shared(users)
    found = list(scopes)
    makers: dict[str, int] = {}
    for number, node in enumerate(nodes):
        if found[number] is None:
            behind = [found[makers[value]] for value in _consumed(node) if value in makers]
            found[number] = _shared([*behind, ahead[number]])
        makers |= {value: number for value in node.output if value}
    return [one or () for one in found]


def _shared(several: Iterable[Scopes | None]) -> Scopes:
    """What scopes have in common, from the outside in."""
    known = [one for one in several if one is not None]
    levels = zip(*known, strict=False)
    alike = [level[0] if len(set(level)) == 1 else None for level in levels]
    return tuple(one for one in alike[: alike.index(None) if None in alike else None] if one)


def _stretches(
    nodes: Sequence[Any], placed: Sequence[Scopes], stated: Sequence[Scopes | None]
) -> list[_Stretch]:
    """The calls of all modules. A call ends where a node outside the module comes.

    Nodes that say nothing, since an optimiser has put them there, begin and end no call.
    """
    found: list[_Stretch] = []
    running: dict[str, _Stretch] = {}
    calls: Counter[str] = Counter()
    for number, (node, around) in enumerate(zip(nodes, placed, strict=True)):
        if stated[number] is not None:
            kept = {path: running[path] for path, mark in around if _goes_on(running, path, mark)}
            for path, mark in around:
                if path not in kept:
                    kept[path] = _Stretch(path, mark, calls[path])
                    calls[path] += 1
                    found.append(kept[path])
            running = kept
        for stretch in (running[path] for path, _ in around if path in running):
            stretch.nodes.add(number)
            stretch.made.update(dict.fromkeys(v for v in node.output if v))
    return found


def _goes_on(running: Mapping[str, _Stretch], path: str, mark: str) -> bool:
    return path in running and running[path].mark == mark


def _whole(stretches: Sequence[_Stretch], view: _View) -> Iterator[_Stretch]:
    """The stretches, those of one call put together again that a tool has sorted apart.

    Calls of one module do the same, and hand out a value each; pieces of a call do neither.
    """
    by_path: dict[str, list[_Stretch]] = {}
    for stretch in stretches:
        by_path.setdefault(stretch.path, []).append(stretch)
    for path, pieces in by_path.items():
        done = {tuple(sorted(view.nodes[n].op_type for n in piece.nodes)) for piece in pieces}
        joined = _Stretch(path, "", 0)
        for piece in pieces:
            joined.made |= piece.made
            joined.nodes |= piece.nodes
        yield from [joined] if len(done) > 1 and len(view.leaving(joined)) == 1 else pieces
