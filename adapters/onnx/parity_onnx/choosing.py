"""Which map of names a model gets: what the option `names` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from parity.errors import ConfigError
from parity_onnx.metadata import metadata_names
from parity_onnx.model import Model, structure
from parity_onnx.names import ROOT, Named, Names, names_path, read_names
from parity_onnx.node_names import node_names

__all__ = ["chosen_names"]

_NONE = Names("none: the values keep their own")
_SILENT = replace(
    _NONE,
    remark="nothing in the model says which module its values are of, so only its outputs are "
    "recorded; the option `names` takes a map, such as the .parity.json of the model that this "
    "one was made from",
)


def chosen_names(model: Model, names: str | Mapping[str, str]) -> Names:
    """The map for `model`.

    Args:
        model: the model.
        names: `auto`, `metadata`, `nodes`, `none`, a file, or paths by value, which go before what
            `auto` finds. Such a path may end with a slot and a call: `layers.0:1#2`.

    Raises:
        InputError: the file cannot be used.
        ConfigError: the model says nothing of what is asked for, or two values get one path.
    """
    if isinstance(names, Mapping):
        told = _distinct([_parsed(*item) for item in names.items()])
        return _corrected(chosen_names(model, "auto"), told)
    graph = model.proto.graph
    if names == "auto":
        beside = names_path(model.path)
        if beside.is_file():
            return _fitted(read_names(beside), model)
        return metadata_names(graph) or node_names(graph) or _SILENT
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
    return _fitted(read_names(Path(names)), model)


def _fitted(names: Names, model: Model) -> Names:
    """A map from a file, for this model: what the whole module returns are the outputs it has now.

    Whoever adds a step at the end gives an output another name, and the old one stays inside.
    """
    if names.graph and names.graph != structure(model.proto.graph):
        words = f"{model.path.name} has other nodes than the model that its names were written for"
        names = replace(names, remark=f"{words}: they may be wrong where it was changed")
    roots = [one for one in names.named if one.path == ROOT]
    if sorted(one.value for one in roots) == sorted(model.outputs):
        return names
    others = tuple(one for one in names.named if one.path != ROOT)
    if len(roots) == len(model.outputs):
        pairs = zip(roots, model.outputs, strict=True)
        others += tuple(replace(one, value=value) for one, value in pairs)
    return replace(names, named=others)


def _distinct(told: Sequence[Named]) -> Sequence[Named]:
    places: dict[tuple[str, str, int], str] = {}
    for one in told:
        other = places.setdefault((one.path, one.slot, one.call), one.value)
        if other != one.value:
            words = f"{other!r} and {one.value!r} cannot both be {one.path}"
            raise ConfigError(
                words, where="names", hint=f"{one.path}:1 is another output, {one.path}#1 a call"
            )
    return told


def _corrected(names: Names, told: Sequence[Named]) -> Names:
    """What `told` says of its paths, and what `names` says of all others."""
    paths = {one.path for one in told}
    named = (*told, *(one for one in names.named if one.path not in paths))
    lost = tuple(one for one in names.unnamed if one.path not in paths)
    if not names.named:
        return Names("the configuration", named, lost)
    return replace(names, origin=f"the configuration, {names.origin}", named=named, unnamed=lost)


def _parsed(value: str, path: str) -> Named:
    rest, _, call = path.partition("#")
    name, _, slot = rest.partition(":")
    if call and not call.isdecimal():
        raise ConfigError(f"{call!r} is no number of a call", where=f"names.{value}")
    return Named(value, name, slot, int(call or 0))
