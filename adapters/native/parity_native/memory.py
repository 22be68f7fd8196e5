"""Files in memory that two processes map."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from parity.errors import BackendError
from parity_native.views import Array

__all__ = ["array_at", "mapped", "reserve"]


def reserve(path: Path, size: int) -> None:
    """Make a file of that size, with room for all of it: a map of any other may end in a SIGBUS.

    Raises:
        BackendError: there is no room.
    """
    with path.open("wb") as file:
        try:
            if sys.platform == "linux":
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
        except OSError as error:
            raise BackendError(
                f"there is no room for {size / 2**20:.0f} MiB on their way from process to "
                f"process: {error.strerror}",
                where=str(path.parent),
                hint="make room there (docker run --shm-size=2g), or say isolate = false",
            ) from error


def mapped(path: Path) -> mmap.mmap:
    """The file in memory, to be written by whoever maps it."""
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), os.fstat(file.fileno()).st_size)


def array_at(place: mmap.mmap, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """The array of any shape that lies there, in C order."""
    return np.ndarray(shape, dtype, place, offset=offset)
