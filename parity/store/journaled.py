"""The file that HDF5 writes a capture through: whatever happens, it holds one whole state."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from parity.store.journal import Journal, lock, pack_journal, write_fully
from parity.store.overlay import PAGE, PageOverlay, round_up

__all__ = ["JournaledFile"]


class JournaledFile:
    """A file object for `h5py.File` that separates appending from overwriting.

    Bytes behind the end of the last committed state go to the disk at once: nothing refers to them
    yet. Bytes within it stay in memory until `commit` makes them permanent in one step.

    Attributes:
        last_write: position and length of the last write, which for a chunk that was written
            directly is where the chunk lies.
        commits: how many commits have been made.
        written: bytes handed to the file so far.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o666)
        self._journal_fd = -1
        self._position = 0
        self._size = 0
        self._committed_end = 0
        self._overlay = PageOverlay()
        self._failed = False
        self.last_write = (0, 0)
        self.commits = 0
        self.written = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position, as io.RawIOBase does."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the position; bytes behind the end read as zero."""
        view = memoryview(buffer).cast("B")
        if self._failed:
            view[:] = bytes(len(view))
            return len(view)
        found = os.preadv(self._fd, [view], self._position)
        view[found:] = bytes(len(view) - found)
        if self._overlay:
            self._overlay.patch(self._position, view)
        return len(view)

    def read(self, size: int) -> bytes:
        """`size` bytes from the position."""
        buffer = bytearray(size)
        self.readinto(memoryview(buffer))
        return bytes(buffer)

    def write(self, data: bytes | memoryview) -> int:
        """Write `data` at the position."""
        self._put(self._position, memoryview(data).cast("B"))
        self.last_write = (self._position, len(data))
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Grow to `size`; shrinking is left to `close`, so that a committed state stays whole."""
        self._size = self._position if size is None else size
        if not self._failed and self._size > os.fstat(self._fd).st_size:
            os.ftruncate(self._fd, self._size)
        return self._size

    def flush(self) -> None:
        """Nothing: `commit` decides when the state is whole."""

    def write_rows(self, position: int, data: bytes | memoryview, *, owned: bool) -> None:
        """Write tensor bytes past HDF5, into space that it has allocated for them.

        Args:
            position: first byte in the file.
            data: the bytes, shape `(n,)`.
            owned: whether the last committed state has this space for the same tensors, so that
                rows which it does not refer to may be written in place.
        """
        view = memoryview(data).cast("B")
        if not owned:
            self._put(position, view)
            return
        if self._failed:
            return
        # A page may hold these rows beside metadata that waits for the commit.
        self._overlay.refresh(position, view)
        self._write(self._fd, [(position, view)])
        self.written += len(view)

    def _put(self, position: int, view: memoryview) -> None:
        # After a failed write HDF5 must still be able to close, on a file that nobody will commit.
        if self._failed:
            return
        inside = min(max(self._committed_end - position, 0), len(view))
        if inside:
            start = position // PAGE * PAGE
            beneath = os.pread(self._fd, round_up(position + inside) - start, start)
            self._overlay.put(position, view[:inside], beneath)
        if inside < len(view):
            self._write(self._fd, [(position + inside, view[inside:])])
        self._size = max(self._size, position + len(view))
        self.written += len(view)

    def _write(self, fd: int, chunks: Iterable[tuple[int, bytes | memoryview]]) -> None:
        try:
            write_fully(fd, chunks)
        except OSError:
            self._failed = True
            raise

    def begin_journal(self, path: str) -> None:
        """From here on, overwriting goes through the journal file at `path`."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._journal_fd = os.open(path, flags, 0o666)

    def commit(
        self, run_id: bytes, id_offset: int, *, patience_s: float, insist: bool = False
    ) -> bool:
        """Make everything written so far the state that a reader finds, in one step.

        Args:
            run_id: of this capture.
            id_offset: where `run_id` lies in the file.
            patience_s: how long to wait for readers that are taking their snapshot.
            insist: commit after that time even if a reader is still there.

        Returns:
            False where readers kept it from happening; it is then left to the next commit.
        """
        if self._failed:
            return False
        if self._overlay:
            locked = lock(self._journal_fd, exclusive=True, patience_s=patience_s)
            if not locked and not insist:
                return False
            extents = tuple(self._overlay.extents())
            content = pack_journal(Journal(run_id, id_offset, extents))
            self._write(self._journal_fd, [(0, content)])
            self._write(self._fd, extents)
            os.ftruncate(self._journal_fd, 0)
            fcntl.flock(self._journal_fd, fcntl.LOCK_UN)
            self._overlay.clear()
        self._committed_end = round_up(os.fstat(self._fd).st_size)
        self.commits += 1
        return True

    def is_at(self, path: Path) -> bool:
        """Whether `path` is still this file and not another that took its name."""
        try:
            return os.path.samestat(path.stat(), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def abandon(self) -> None:
        """Take no more writes: what is on the disk stays as it is."""
        self._failed = True

    def close(self) -> None:
        """Close the file and its journal; uncommitted overwriting is lost."""
        self.abandon()
        if self._journal_fd >= 0:
            os.close(self._journal_fd)
        os.close(self._fd)
