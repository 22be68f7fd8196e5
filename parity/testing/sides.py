"""What can be handed to an assertion, brought into the forms that a diff takes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from parity.diffing import TapDiff
from parity.diffing.source import ArraySource
from parity.store import Capture, open_capture
from parity.tensors import TapKey

__all__ = ["Array", "Named", "file_of", "named", "opened", "tensors_at"]

Array = np.ndarray[Any, np.dtype[Any]]
Named = Path | Capture | Mapping[str, Any]


def named(side: Any) -> Named:
    """A capture file, an open capture or named tensors; a lone tensor becomes `tensor`.

    Args:
        side: any of these, or one array or tensor of any shape, or a sequence of such, which are
            named by their position.
    """
    if isinstance(side, Capture | Mapping):
        return side
    if isinstance(side, str | os.PathLike):
        return Path(side)
    if isinstance(side, tuple | list) and any(np.ndim(_plain(part)) for part in side):
        return {str(place): part for place, part in enumerate(side)}
    return {"tensor": side}


def _plain(part: Any) -> Any:
    return part.detach() if hasattr(part, "detach") else part


def file_of(side: Named) -> Path | None:
    """Where the capture of a side lies on disk; None for tensors in memory."""
    return side.path if isinstance(side, Capture) else side if isinstance(side, Path) else None


@contextmanager
def opened(side: Named) -> Iterator[Capture | None]:
    """The capture of a side; None for tensors in memory, which have no lineage."""
    if isinstance(side, Path):
        with open_capture(side) as capture:
            yield capture
    else:
        yield side if isinstance(side, Capture) else None


def tensors_at(
    row: TapDiff,
    reference: Named,
    candidate: Named,
    layouts: Mapping[str, tuple[int, ...]],
) -> tuple[Array, Array] | None:
    """Both tensors of a row, of their own shapes; None where they were not kept whole."""
    if row.candidate_key is None or row.piece or row.reference is None:
        return None
    ours, theirs = _read(reference, row.key), _read(candidate, row.candidate_key)
    if ours is None or theirs is None:
        return None
    for pattern, axes in layouts.items():
        if fnmatchcase(row.key.path, pattern) and len(axes) == theirs.ndim:
            theirs = theirs.transpose(axes)
            break
    return ours, theirs


def _read(side: Named, key: TapKey) -> Array | None:
    if isinstance(side, Mapping):
        return ArraySource({key.path: side[key.path]}, "").view(0)
    with opened(side) as capture:
        assert capture is not None  # noqa: S101 - a path or a capture by now
        position = capture.position(key)
        return capture.read(position) if capture.columns.offsets[position] >= 0 else None
