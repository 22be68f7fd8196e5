"""What lies beside a package: which of its values is which tensor of the torch module."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from parity.errors import InputError
from parity_coreml.documents import read_document
from parity_coreml.exported import Node

__all__ = ["Placed", "Sidecar", "Unplaced", "read_sidecar", "sidecar_path", "write_sidecar"]

_FORMAT, _VERSION = "parity-coreml-sidecar", 1


def output_name(path: str, slot: str, call: int) -> str:
    """A module's output as reports name it: `path`, the slot if it is not the first, the call."""
    return f"{path}[{slot}]#{call}" if slot else f"{path}#{call}"


@dataclass(frozen=True, slots=True)
class Placed:
    """A value of the program that is a module's output.

    Attributes:
        path: of the module; `(root)` for the whole.
        value: its name in the program.
        node: the operation in torch that makes it.
        slot: which of several outputs, as captures count them; empty for the first.
        call: how often the module had run before in the same run.
        calls: how often it runs in one run.
        permutation: the axes of the program's value in the order of torch's; empty if they agree.
    """

    path: str
    value: str
    node: str
    slot: str = ""
    call: int = 0
    calls: int = 1
    permutation: tuple[int, ...] = ()

    def __str__(self) -> str:
        return output_name(self.path, self.slot, self.call)


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A module's output that the program has no value for, and why."""

    path: str
    reason: str
    slot: str = ""
    call: int = 0

    def __str__(self) -> str:
        return output_name(self.path, self.slot, self.call)


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The map between a package and the module that it was converted from.

    Attributes:
        precision: float32, float16 or mixed.
        inputs: names of the program's inputs, in the order of the module's arguments.
        outputs: names of its outputs, in the order of the module's results.
        nodes: torch's operations.
        values: by handle, the values of the program that come from that operation, in order.
        kinds: by name of a value, the type of the operation that makes it.
        placed: module outputs with a value.
        unplaced: module outputs without one.
        states: names of the program's states -> the buffers that they are.
        versions: of what converted it.
        by_values: whether the map was found by the numbers on both sides, after the conversion.
    """

    precision: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    values: dict[int, tuple[str, ...]]
    kinds: dict[str, str]
    placed: tuple[Placed, ...]
    unplaced: tuple[Unplaced, ...] = ()
    states: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    by_values: bool = False
    format: str = _FORMAT
    version: int = _VERSION


def sidecar_path(package: str | Path) -> Path:
    """`model.mlpackage` -> `model.parity.json` beside it."""
    return Path(package).with_suffix(".parity.json")


def write_sidecar(sidecar: Sidecar, package: str | Path) -> None:
    """Write it beside the package, in one step."""
    path = sidecar_path(package)
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(sidecar), indent=1))
    partial.replace(path)


def read_sidecar(package: str | Path) -> Sidecar:
    """The sidecar of a package.

    Raises:
        InputError: there is none, or it is not one.
    """
    path = sidecar_path(package)
    if not path.is_file():
        raise InputError(
            "the package has no sidecar, so nothing says which of its values is which module",
            where=str(path),
            hint="`parity coreml convert` writes one; for a package that was converted elsewhere, "
            "`parity coreml map` finds one",
        )
    return read_document(
        path, Sidecar, "a sidecar", (_FORMAT, _VERSION), "convert the package again"
    )
