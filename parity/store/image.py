"""The bytes of a capture file as a reader sees them: mapped, a journal laid over them."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from parity.errors import CaptureFileError, InputError
from parity.store.journal import Journal, lock, unpack_journal
from parity.store.layout import journal_path

__all__ = ["FileImage", "open_image"]

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Where a commit of a running writer takes its milliseconds, and where a stuck one should not hold
# us up for ever.
_PATIENCE_S = 10.0
# Mapped pages that have been looked at count as our memory until we let go of them.
_RESIDENT_BYTES = 128 * 2**20


class FileImage:
    """A capture file, mapped read-only.

    Attributes:
        bytes: the whole file, shape `(size,)`.
        map: the mapping, which also serves h5py as a file object.
    """

    def __init__(self, fd: int, changes: Journal | None) -> None:
        self._private = changes is not None
        access = mmap.ACCESS_COPY if self._private else mmap.ACCESS_READ
        self.map = mmap.mmap(fd, 0, access=access)
        for position, data in changes.extents if changes else ():
            length = max(0, min(len(data), len(self.map) - position))
            self.map[position : position + length] = data[:length]
        self.bytes: Bytes = np.frombuffer(self.map, np.uint8)
        self.bytes.flags.writeable = False
        self._viewed = 0
        self._closed = False

    def slice(self, offset: int, nbytes: int) -> Bytes:
        """`nbytes` from `offset`, shape `(nbytes,)`; a view.

        Raises:
            InputError: when the image is closed.
        """
        if self._closed:
            raise InputError("the capture is closed", hint="read within its `with` block")
        self._viewed += nbytes
        if self._viewed > _RESIDENT_BYTES:
            self.release()
        return self.bytes[offset : offset + nbytes]

    def release(self) -> None:
        """Let go of the pages behind all views; a view that is used again reads them again."""
        self._viewed = 0
        # Private pages hold changes that are nowhere else.
        if not (self._private or self._closed):
            self.map.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Unmap, or leave that to the last view that is still in use."""
        self._closed = True
        self.bytes = np.empty(0, np.uint8)
        try:
            self.map.close()
        except BufferError:
            return


@contextmanager
def open_image(path: Path) -> Iterator[FileImage]:
    """The file as it is now, kept from changing while the context is open.

    Raises:
        CaptureFileError: when there is no such file, or it is not HDF5.
    """
    journal_fd = _open_journal(path)
    try:
        if journal_fd is not None:
            lock(journal_fd, exclusive=False, patience_s=_PATIENCE_S)
        yield _mapped(path, journal_fd)
    finally:
        if journal_fd is not None:
            fcntl.flock(journal_fd, fcntl.LOCK_UN)
            os.close(journal_fd)


def _open_journal(path: Path) -> int | None:
    try:
        return os.open(journal_path(str(path)), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None


def _mapped(path: Path, journal_fd: int | None) -> FileImage:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        _check_signature(fd, path)
        changes = None if journal_fd is None else _changes(fd, journal_fd)
        return FileImage(fd, changes)
    finally:
        os.close(fd)


def _changes(fd: int, journal_fd: int) -> Journal | None:
    """What the journal holds for this very capture."""
    size = os.fstat(journal_fd).st_size
    # A journal holds copies of parts of its capture.
    if not 0 < size <= 2 * os.fstat(fd).st_size + 2**20:
        return None
    journal = unpack_journal(os.pread(journal_fd, size, 0))
    if journal is None or journal.id_offset < 0:
        return None
    found = os.pread(fd, len(journal.run_id), journal.id_offset)
    return journal if found == journal.run_id else None


def _check_signature(fd: int, path: Path) -> None:
    try:
        found = os.pread(fd, len(SIGNATURE), 0)
    except OSError as error:
        raise _unreadable(path, error) from error
    if found != SIGNATURE:
        raise CaptureFileError(
            "is not an HDF5 file" if found else "is empty",
            where=str(path),
            hint="a capture is written by `parity capture`; a folder of .npy or .safetensors "
            "files becomes one by `parity import`",
        )


def _unreadable(path: Path, error: OSError) -> CaptureFileError:
    if isinstance(error, FileNotFoundError):
        what, hint = "does not exist", "check the path; `parity capture` writes a capture"
    elif isinstance(error, IsADirectoryError):
        what, hint = "is a folder", f"`parity import {path} -o capture.h5` makes a capture of dumps"
    else:
        what, hint = f"cannot be read: {error.strerror}", "check that you may read it"
    return CaptureFileError(what, where=str(path), hint=hint)
