"""The journal: what is about to be overwritten in a capture, so that a kill cannot tear it.

A commit writes the journal, applies it to the capture, and empties it. Whoever finds a whole
journal lays it over the capture and has the new state; whoever finds a broken or empty one has the
state that the capture already holds.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass

import xxhash

__all__ = ["ID_BYTES", "Journal", "lock", "pack_journal", "unpack_journal", "write_fully"]

ID_BYTES = 16
_MAGIC = b"parity-journal-1"
_HEAD = struct.Struct(f"<16s{ID_BYTES}sqq")
_EXTENT = struct.Struct("<qq")
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Journal:
    """Changes to one capture.

    Attributes:
        run_id: of the capture that they belong to.
        id_offset: where that capture holds its `run_id`.
        extents: what to write where.
    """

    run_id: bytes
    id_offset: int
    extents: tuple[tuple[int, bytes], ...]


def pack_journal(journal: Journal) -> bytes:
    """The bytes of a journal file, closed by a digest that a torn write does not have."""
    head = _HEAD.pack(_MAGIC, journal.run_id, journal.id_offset, len(journal.extents))
    table = b"".join(_EXTENT.pack(position, len(data)) for position, data in journal.extents)
    body = b"".join([head, table, *(data for _, data in journal.extents)])
    return body + xxhash.xxh3_128_digest(body)


def unpack_journal(content: bytes) -> Journal | None:
    """The journal in `content`, or None where it is empty, torn or something else."""
    body = content[:-_DIGEST_BYTES]
    if len(body) < _HEAD.size or xxhash.xxh3_128_digest(body) != content[-_DIGEST_BYTES:]:
        return None
    magic, run_id, id_offset, count = _HEAD.unpack_from(body)
    start = _HEAD.size + count * _EXTENT.size
    if magic != _MAGIC or not 0 <= count <= len(body) or start > len(body):
        return None
    extents = []
    for number in range(count):
        position, length = _EXTENT.unpack_from(body, _HEAD.size + number * _EXTENT.size)
        if position < 0 or length < 0 or start + length > len(body):
            return None
        extents.append((position, body[start : start + length]))
        start += length
    return Journal(run_id, id_offset, tuple(extents))


def write_fully(fd: int, chunks: Iterable[tuple[int, bytes | memoryview]]) -> None:
    """Write each (position, bytes) to `fd`; one system call moves at most 2 GiB."""
    for position, data in chunks:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            done += os.pwrite(fd, view[done:], position + done)


def lock(fd: int, *, exclusive: bool, patience_s: float) -> bool:
    """Try for up to `patience_s` to lock the open file; closing it or dying unlocks it."""
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.001)
        except OSError:
            # A file system without locks: better unlocked than not at all.
            return True
        else:
            return True
