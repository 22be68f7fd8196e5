"""The reference's tensors of one test, in a committed capture file."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from parity.capture.sink import StoreSink
from parity.diffing.source import ArraySource
from parity.store import CaptureWriter, open_capture
from parity.tensors import TapPlan
from parity.testing.sides import file_of, named

__all__ = ["GoldenFile", "plain_name", "save"]


@dataclass(frozen=True, slots=True)
class GoldenFile:
    """A golden capture: what a test's candidate is compared with, without the reference.

    Attributes:
        path: the file.
    """

    path: Path

    @property
    def exists(self) -> bool:
        """Whether it has been created."""
        return self.path.is_file()

    def write(self, reference: Any) -> None:
        """Create or replace it, in one step.

        Args:
            reference: a capture file, an open capture, named arrays or tensors, or one of them.

        Raises:
            CaptureFileError: a capture file is given that is none.
            InputError: what is given holds no numbers.
        """
        save(self.path, reference)


def save(path: Path, side: Any) -> None:
    """Write one side of a comparison to a capture file, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    given = named(side)
    try:
        if isinstance(given, Mapping):
            _write_arrays(partial, given)
        else:
            source = file_of(given)
            assert source is not None  # noqa: S101 - a path or a capture by now
            with open_capture(source):  # refuses what is no capture
                shutil.copyfile(source, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    source = ArraySource(arrays, "reference")
    with CaptureWriter(path) as writer:
        sink = StoreSink(writer, TapPlan())
        for position, record in enumerate(source.records):
            sink.record(record.key.path, source.view(position))
        sink.flush()


def plain_name(name: str) -> str:
    """`name` as a part of a file's name: plain characters, and no two names the same."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip(".-")[:80]
    return plain if plain == name else f"{plain}-{sha256(name.encode()).hexdigest()[:6]}"
