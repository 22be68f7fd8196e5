"""Hands over what lies in a folder as if it had just run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.backends import Capabilities, CaptureSink
from parity.errors import ConfigError, InputError
from parity.tensors import Case, Role, TapKey, TapPlan
from parity_files.folder import Dumped, natural, scan
from parity_files.layout import Layout, parse_layout
from parity_files.names import Name, namer

__all__ = ["FilesBackend"]

_MAX_BYTES = 16 << 30


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """A dumped tensor with what its name says."""

    dumped: Dumped
    name: Name
    position: int


class FilesBackend:
    """A folder of .npy, .npz and .safetensors files, dumped by anything.

    The case is not run: it only chooses the folder, where that holds `{case}`.
    """

    name = "files"

    def __init__(
        self,
        folder: str | Path,
        *,
        pattern: str | None = None,
        container: str | None = None,
        ignore: str | Sequence[str] = (),
        order: str | Path = "",
        role: str = "output",
        layout: str | Path | Mapping[str, Any] | None = None,
        max_bytes: int | str = _MAX_BYTES,
    ) -> None:
        """Take the options; what each means stands in `parity_files.ADAPTER.options`."""
        self._folder = str(folder)
        self._pattern = pattern
        self._container = container
        self._ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
        self._order = str(order)
        self._role = _role(role)
        self._layout = layout
        self._max_bytes = _whole_number("max_bytes", max_bytes)

    def capabilities(self) -> Capabilities:
        """It dumps tensors, and that is all."""
        return Capabilities()

    def capture(self, case: Case, plan: TapPlan, sink: CaptureSink) -> None:
        """Record the folder's tensors that `plan` wants.

        Raises:
            InputError: the folder, a file or a name cannot be used.
            ConfigError: an option cannot be used.
        """
        folder = Path(self._folder.replace("{case}", case.name))
        layout = parse_layout(self._layout, folder if folder.is_dir() else folder.parent)
        entries = self._entries(folder)
        layout.check_used(entry.name.path for entry in entries)
        sink.describe({"framework": "files", "folder": folder.name})
        for entry, key in _keyed(entries, layout):
            if plan.wants(key, entry.name.step):
                self._record(entry, key, layout, sink)

    def _entries(self, folder: Path) -> list[_Entry]:
        dumped = scan(folder, self._ignore)
        read = namer(dumped, pattern=self._pattern, container=self._container, role=self._role)
        entries = [_Entry(one, read(one), position) for position, one in enumerate(dumped)]
        return sorted(entries, key=self._sorting(folder))

    def _sorting(self, folder: Path) -> Callable[[_Entry], Any]:
        order = self._order or ("stored" if folder.suffix == ".npz" else "name")
        if order == "stored":
            return lambda entry: entry.position
        if order == "time":
            return lambda entry: (entry.dumped.time_ns, _by_name(entry))
        if order == "name":
            return _by_name
        listed = _listed(order, folder)
        return lambda entry: _by_list(entry, listed)

    def _record(self, entry: _Entry, key: TapKey, layout: Layout, sink: CaptureSink) -> None:
        tensor = entry.dumped.tensor
        if tensor.nbytes > self._max_bytes:
            raise InputError(
                f"{tensor.spec} is larger than {self._max_bytes} bytes",
                where=entry.dumped.name,
                hint="raise the option max_bytes",
            )
        sink.record(
            key.path,
            layout.array(entry.name.path, tensor.read()),
            role=key.role,
            slot=key.slot,
            phase=key.phase,
            call=key.call,
            step=entry.name.step,
        )


def _keyed(entries: Sequence[_Entry], layout: Layout) -> list[tuple[_Entry, TapKey]]:
    """Each entry with its key: numbered by its name, or counted in order."""
    counts: Counter[TapKey] = Counter()
    seen: dict[TapKey, _Entry] = {}
    for entry in entries:
        said = entry.name
        tap = TapKey(layout.path(said.path), said.role, said.slot, said.phase)
        key = tap._replace(call=counts[tap] if said.call is None else said.call)
        counts[tap] += 1
        if key in seen:
            first, second = (e.dumped.container + e.dumped.name for e in (seen[key], entry))
            raise InputError(
                f"{first!r} and {second!r} are both {key}",
                hint="tell them apart with the option pattern, or leave one out with ignore",
            )
        seen[key] = entry
    return [(entry, key) for key, entry in seen.items()]


def _by_name(entry: _Entry) -> tuple[Any, ...]:
    # Calls before paths: a loop runs all its taps once before it runs the first again.
    said = entry.name
    call = -1 if said.call is None else said.call
    return natural(said.phase), call, said.step, natural(said.path), said.role, natural(said.slot)


def _by_list(entry: _Entry, listed: Mapping[str, int]) -> tuple[Any, ...]:
    said = entry.name
    if entry.dumped.name in listed:
        return 0, 0, listed[entry.dumped.name], ()
    call = said.call or max(said.step, 0)
    if said.path in listed:
        return 0, call, listed[said.path], ()
    return 1, call, 0, _by_name(entry)


def _listed(order: str, folder: Path) -> dict[str, int]:
    inside = folder / order
    path = inside if inside.is_file() else Path(order)
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot be read: {error}",
            where=f"order = {order}",
            hint="use name, time, stored, or a file that lists names or paths, one a line",
        ) from error
    return {line: number for number, line in enumerate(lines)}


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError as error:
        raise ConfigError(
            f"no role is named {text!r}", where="role", hint=f"use one of: {', '.join(Role)}"
        ) from error


def _whole_number(option: str, given: int | str) -> int:
    try:
        return int(given)
    except ValueError as error:
        raise ConfigError(f"not a whole number: {given!r}", where=option) from error
