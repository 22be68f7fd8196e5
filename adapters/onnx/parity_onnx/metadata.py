"""Names from the metadata that torch's exporter writes at each node."""

from __future__ import annotations

import ast
import re
from typing import Any

from parity_onnx.names import Names
from parity_onnx.stretches import Scope, Scopes, names_from

__all__ = ["metadata_names", "scopes_of"]

_SCOPES = "pkg.torch.onnx.name_scopes"
_SIGNATURE = "pkg.torch.export.ExportedProgram.graph_signature"
_PARAMETER = re.compile(r"(?:PARAMETER|BUFFER) target='([^']+)'")


def metadata_names(graph: Any) -> Names | None:
    """From what `torch.onnx.export(dynamo=True)` writes at each node; None where it wrote nothing.

    Args:
        graph: an `onnx.GraphProto`.
    """
    scopes = [_stated(node) for node in graph.node]
    if not any(scopes):
        return None
    return names_from(graph, scopes, "the exporter's metadata", _with_parameters(graph))


def scopes_of(node: Any) -> tuple[str, ...]:
    """Paths of the modules that a node is of, from the outside in; empty where it does not say."""
    text = next((prop.value for prop in node.metadata_props if prop.key == _SCOPES), "")
    try:
        found = ast.literal_eval(text) if text else []
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    # The last one is the operation itself, the first the whole model.
    return tuple(str(path) for path in found[1:-1] if path) if isinstance(found, list) else ()


def _stated(node: Any) -> Scopes | None:
    """The scopes of a node; None where it says nothing, since a tool has put it there."""
    silent = all(prop.key != _SCOPES for prop in node.metadata_props)
    return None if silent else tuple(map(Scope, scopes_of(node)))


def _with_parameters(graph: Any) -> list[str]:
    """Modules that hold parameters or buffers, by what the exporter says of its inputs."""
    text = next((prop.value for prop in graph.metadata_props if prop.key == _SIGNATURE), "")
    owners = (target.rpartition(".")[0] for target in _PARAMETER.findall(text))
    return list(dict.fromkeys(owner for owner in owners if owner))
