"""Exports a torch module, and writes beside the model which of its values is which module."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from parity.errors import BackendError
from parity_onnx.model import open_model, structure
from parity_onnx.names import Names, names_path, write_names
from parity_onnx.placing import Values, place

__all__ = ["export"]

_NODE = "pkg.torch.onnx.fx_node"


def export(
    module: nn.Module,
    args: tuple[Any, ...],
    path: str | Path,
    *,
    kwargs: Mapping[str, Any] | None = None,
    **options: Any,
) -> Names:
    """Export `module` in evaluation mode to `path`, with `path` as `.parity.json` beside it.

    The model is what `torch.onnx.export(..., dynamo=True)` makes of it.

    Args:
        module: what to export.
        args: positional arguments of an example run. Random ones tell values apart best.
        path: the .onnx file to write.
        kwargs: keyword arguments of the example run.
        options: of `torch.onnx.export`, such as `dynamic_shapes`, `opset_version` or `optimize`.

    Returns:
        The map that was written; its `unnamed` are the outputs of modules that are lost.

    Raises:
        BackendError: torch cannot export it.
    """
    given = dict(kwargs or {})
    try:
        # torch warns of its own use of what it deprecates.
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made: Any = torch.onnx.export(
                module.eval(), args, kwargs=given, dynamo=True, verbose=False, **options
            )
            made.save(str(path))
    except Exception as error:  # whatever the module's own code raises when it is traced
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BackendError(
            f"torch cannot export it: {said}",
            where=type(module).__name__,
            hint="wrap the part to export in a module without data-dependent control flow, with "
            "states as arguments and results",
        ) from error
    model = open_model(Path(path))
    graph = model.proto.graph
    values = Values(_values(graph), model.outputs)
    named, unnamed = place(module, made.exported_program, args, given, values)
    names = Names("the export", named, unnamed, structure(graph))
    write_names(names, names_path(path))
    return names


def _values(graph: Any) -> dict[str, list[str]]:
    """The graph's values by the node of the program that they come from, the last first.

    A value that has the node's own name is what the node made; otherwise it is the last one.
    """
    found: dict[str, list[str]] = {one.name: [one.name] for one in graph.input}
    for node in graph.node:
        text = next((prop.value for prop in node.metadata_props if prop.key == _NODE), "")
        match = re.match(r"%(\w+) ", text)
        made = [value for value in node.output if value]
        if match and made:
            found.setdefault(match[1], [])[:0] = made[::-1]
    known = {value for node in graph.node for value in node.output}
    # Nodes that say nothing of where they come from may have taken over a name.
    found |= {name: [name] for name in known if name not in found}
    return {name: [name] if name in values else values for name, values in found.items()}
