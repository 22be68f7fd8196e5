"""A page of memory on which a child process says how far it is, whatever happens to it next."""

from __future__ import annotations

import mmap
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Progress", "ProgressPage"]

_HEAD = struct.Struct("<QQI")
_SIZE = 4096
_PATIENCE = 30  # milliseconds: a writer that is interrupted for longer is taken for dead
_TEXT = _SIZE - _HEAD.size


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        count: records so far.
        last: the last one's name, empty before the first.
    """

    count: int = 0
    last: str = ""


class ProgressPage:
    """A file mapped by parent and child. A note costs two copies and no system call.

    A page survives the death of the process that wrote it, so that the last note is known after a
    segfault, where a buffered stream would have lost it.
    """

    def __init__(self, path: Path) -> None:
        """Map the page at `path`, made when it does not exist."""
        path.touch()
        with path.open("r+b") as file:
            file.truncate(_SIZE)
            self._page = mmap.mmap(file.fileno(), _SIZE)
        self._lock = threading.Lock()
        self._version = 0

    def note(self, count: int, last: str) -> None:
        """Say that `count` records are done, the last of them named `last`."""
        text = last.encode()[:_TEXT]
        with self._lock:
            # Odd while writing, as in a seqlock, so that a reader never mixes two notes.
            _HEAD.pack_into(self._page, 0, self._version + 1, count, len(text))
            self._page[_HEAD.size : _HEAD.size + len(text)] = text
            self._version += 2
            _HEAD.pack_into(self._page, 0, self._version, count, len(text))

    def read(self) -> Progress:
        """The last complete note; the one being written where its writer died in the middle."""
        for _ in range(_PATIENCE):
            version, count, length = _HEAD.unpack_from(self._page, 0)
            text = self._page[_HEAD.size : _HEAD.size + min(length, _TEXT)]
            if version % 2 == 0 and _HEAD.unpack_from(self._page, 0)[0] == version:
                break
            time.sleep(0.001)
        return Progress(count, text.decode(errors="replace"))

    def close(self) -> None:
        """Let the page go."""
        self._page.close()
