"""Module paths from names of nodes such as `/layers.0/norm/Add`, as torch's older exporter gives.

It names a module by the attribute that holds it. Of the modules in an `nn.Sequential` and an
`nn.ModuleList` it repeats the whole (`/net/net.0/Gemm` is of `net.0`), of those in an
`nn.ModuleDict` it leaves the dictionary out, and the second call of `act` is `act_1`. Names of
parameters, which are whole, say what is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from parity_onnx.names import Names, Unnamed
from parity_onnx.stretches import Scope, Scopes, names_from

__all__ = ["node_names"]

_AGAIN = re.compile(r"(.+)_\d+")
# A quantiser names its nodes after the tensor that they take, which is of another module.
_QUANTISERS = ("QuantizeLinear", "DynamicQuantizeLinear", "DequantizeLinear")
Steps = tuple[str, ...]


def node_names(graph: Any) -> Names | None:
    """From names of nodes such as `/layers.0/norm/Add`; None where no node is of a module.

    Args:
        graph: an `onnx.GraphProto`.
    """
    steps = [_steps(node) for node in graph.node]
    paths = _paths(graph.node, steps)
    if not any(steps):
        return None
    scopes = [one if one is None else _scopes(one, paths) for one in steps]
    stored = [_owner(one.name) for one in graph.initializer]
    names = names_from(graph, scopes, "the names of the nodes", filter(None, stored))
    several = zip(graph.node, steps, strict=True)
    merged = dict.fromkeys(paths[own] for node, own in several if own and _is_merged(node))
    lost = tuple(Unnamed(path, "the exporter merged the norm behind it into it") for path in merged)
    kept = tuple(one for one in names.named if one.path not in merged)
    return Names(names.origin, kept, (*names.unnamed, *lost))


def _is_merged(node: Any) -> bool:
    """Whether a batch norm has gone into a convolution: nothing of it is a parameter then."""
    own = node.input[1:3] if node.op_type in ("Conv", "ConvTranspose") else node.input[1:2]
    new = all(name.startswith("onnx::Conv") for name in own)
    return new and (len(own) == 2 or node.op_type == "ConvInteger")


def _owner(parameter: str) -> str:
    return "" if parameter.startswith(("/", "onnx::")) else parameter.rpartition(".")[0]


def _steps(node: Any) -> Steps | None:
    if not node.name.startswith("/") or node.op_type in _QUANTISERS:
        return None
    return tuple(part for part in node.name.split("/")[1:-1] if part)


def _scopes(steps: Steps, paths: Mapping[Steps, str]) -> Scopes:
    return tuple(Scope(paths[part], part[-1]) for part in _prefixes(steps))


def _prefixes(steps: Steps) -> Iterator[Steps]:
    return (steps[: i + 1] for i in range(len(steps)))


def _paths(nodes: Sequence[Any], steps: Sequence[Steps | None]) -> dict[Steps, str]:
    """The path of every module that the nodes name, the outer ones first."""
    work: dict[Steps, list[str]] = {}
    for node, own in zip(nodes, steps, strict=True):
        for part in _prefixes(own or ()):
            work.setdefault(part, [])
        if own:
            work[own].append(node.op_type)
    owners = _owners(nodes, steps)
    found: dict[Steps, str] = {}
    for part in sorted(work, key=len):
        again = _AGAIN.fullmatch(part[-1])
        first = (*part[:-1], again[1]) if again else part
        same = part not in owners and first in work and work[first] == work[part]
        known = owners.get(first if same else part)
        outer = found.get(part[:-1], "")
        inner = _within(part[:-1], first if same else part)
        found[part] = known or (outer + inner if outer else inner[1:])
    return found


def _within(outer: Steps, part: Steps) -> str:
    """How a path goes on inside the module around it: `.0` for `net.0` in `net`."""
    name, around = part[-1], outer[-1] if outer else ""
    return name[len(around) :] if around and name.startswith(f"{around}.") else f".{name}"


def _owners(nodes: Sequence[Any], steps: Sequence[Steps | None]) -> dict[Steps, str]:
    """Paths by what parameters are called, and of the modules around; empty where they disagree."""
    found: dict[Steps, str] = {}
    for node, own in zip(nodes, steps, strict=True):
        for name in node.input:
            path = _owner(name)
            part = own or ()
            while part and path and _is_called(path, part[-1]):
                # What two modules are called says which neither of them is.
                found[part] = path if found.get(part, path) == path else ""
                inner = _within(part[:-1], part)
                short = _AGAIN.fullmatch(inner)
                inner = inner if path.endswith(inner) or not short else short[1]
                path, part = path.removesuffix(inner) if path.endswith(inner) else "", part[:-1]
    return found


def _is_called(path: str, name: str) -> bool:
    again = _AGAIN.fullmatch(name)
    names = (name, again[1]) if again else (name,)
    return any(path == one or path.endswith(f".{one}") for one in names)
