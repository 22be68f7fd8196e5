"""Which map of names a model gets: what the option `names` says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from parity.errors import ConfigError
from parity_onnx.metadata import metadata_names, node_names
from parity_onnx.model import Model
from parity_onnx.names import Named, Names, names_path, read_names

__all__ = ["chosen_names"]

_NONE = Names("none: the values keep their own")


def chosen_names(model: Model, names: str | Mapping[str, str]) -> Names:
    """The map for `model`.

    Args:
        model: the model.
        names: `auto`, `metadata`, `nodes`, `none`, a file, or paths by value. Such a path may end
            with a slot and a call: `layers.0:1#2`.

    Raises:
        InputError: the file cannot be used.
        ConfigError: the model says nothing of what is asked for.
    """
    if isinstance(names, Mapping):
        return Names("the configuration", tuple(_parsed(*item) for item in names.items()))
    graph = model.proto.graph
    if names == "auto":
        beside = names_path(model.path)
        if beside.is_file():
            return read_names(beside)
        return metadata_names(graph) or node_names(graph) or _NONE
    if names == "none":
        return _NONE
    if names in ("metadata", "nodes"):
        found = metadata_names(graph) if names == "metadata" else node_names(graph)
        if found is None:
            raise ConfigError(
                f"the model has no {'metadata of torch' if names == 'metadata' else 'such names'}",
                where=f"names = {names}",
                hint="export it with torch.onnx.export(dynamo=True), or better parity_onnx.export",
            )
        return found
    return read_names(Path(names))


def _parsed(value: str, path: str) -> Named:
    rest, _, call = path.partition("#")
    name, _, slot = rest.partition(":")
    if call and not call.isdecimal():
        raise ConfigError(f"{call!r} is no number of a call", where=f"names.{value}")
    return Named(value, name, slot, int(call or 0))
