"""JSON files that describe something: read whole or not at all, and no other format or version."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from parity.errors import InputError

__all__ = ["read_document"]

_MAX_BYTES = 256 << 20


class _Document(Protocol):
    """Says what it is."""

    @property
    def format(self) -> str: ...

    @property
    def version(self) -> int: ...


_Kind = TypeVar("_Kind", bound=_Document)


def read_document(
    path: Path, kind: type[_Kind], what: str, expected: tuple[str, int], hint: str | None = None
) -> _Kind:
    """A file that is there, decoded and checked.

    Args:
        path: of the file.
        kind: what it holds.
        what: what it is called, with an article (`a sidecar`).
        expected: the format and the version that are read.
        hint: what to do about one of another version.

    Raises:
        InputError: it is too large, damaged, or something else.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"too large to be {what}", where=str(path))
    try:
        found = msgspec.json.decode(path.read_bytes(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not {what}: {error}", where=str(path)) from error
    if (found.format, found.version) != expected:
        raise InputError(
            f"a {found.format} of version {found.version}; this reads version {expected[1]}",
            where=str(path),
            hint=hint,
        )
    return found
