"""Which value of a graph is which tensor of the torch module, and the file that says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from parity.errors import InputError

__all__ = ["ROOT", "Named", "Names", "Unnamed", "calls_a_run", "names_path", "read_names",
           "under", "write_names"]  # fmt: skip

ROOT = "(root)"  # as captures call a model without a name
_FORMAT, _VERSION = "parity-onnx-names", 1
_MAX_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Named:
    """A value of the graph that is a module's output.

    Attributes:
        value: its name in the graph.
        path: of the module; `(root)` for the whole.
        slot: which of several outputs, as captures count them; empty for the first.
        call: how often the module had run before in the same run.
    """

    value: str
    path: str
    slot: str = ""
    call: int = 0


@dataclass(frozen=True, slots=True)
class Unnamed:
    """A module's output that no value of the graph is known to be, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Names:
    """The map of one graph.

    Attributes:
        origin: where it comes from, in words.
        named: module outputs with a value.
        unnamed: module outputs without one.
        graph: digest of the graph's structure; empty where nobody wrote it down.
        remark: what a reader of the report should know of it.
    """

    origin: str
    named: tuple[Named, ...] = ()
    unnamed: tuple[Unnamed, ...] = ()
    graph: str = ""
    remark: str = ""


class _File(msgspec.Struct, frozen=True):
    format: str
    version: int
    named: tuple[Named, ...]
    unnamed: tuple[Unnamed, ...] = ()
    graph: str = ""


def names_path(model: str | Path) -> Path:
    """`model.onnx` -> `model.parity.json` beside it."""
    return Path(model).with_suffix(".parity.json")


def write_names(names: Names, path: Path) -> None:
    """Write the map, in one step."""
    partial = path.with_suffix(".partial")
    encoded = msgspec.json.encode(_File(_FORMAT, _VERSION, names.named, names.unnamed, names.graph))
    partial.write_bytes(msgspec.json.format(encoded, indent=1))
    partial.replace(path)


def read_names(path: Path) -> Names:
    """The map in a file.

    Raises:
        InputError: it cannot be read, or holds none.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError("too large to be a map of names", where=str(path))
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"no map of names can be read from it: {error}",
            where=str(path),
            hint="`parity_onnx.export` writes one beside the model",
        ) from error
    if (file.format, file.version) != (_FORMAT, _VERSION):
        raise InputError(
            f"a {file.format} of version {file.version}; this reads {_FORMAT} {_VERSION}",
            where=str(path),
            hint="export the model again",
        )
    return Names(f"the file {path.name}", file.named, file.unnamed, file.graph)


def under(prefix: str, path: str) -> str:
    """`path` of a model that the reference calls `prefix`."""
    if not prefix:
        return path
    return prefix if path == ROOT else f"{prefix}.{path}"


def calls_a_run(named: Sequence[Named]) -> Mapping[str, int]:
    """How often each module runs in one run of the model, by path."""
    found: Counter[str] = Counter()
    for one in named:
        found[one.path] = max(found[one.path], one.call + 1)
    return found
