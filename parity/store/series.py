"""One stacked dataset while it is written: rows gathered in memory, chunks written whole."""

from __future__ import annotations

import math
from typing import Any

import h5py
import numpy as np

from parity.store.dtypes import element_type, is_narrow, stored_type
from parity.store.journaled import JournaledFile
from parity.tensors import TensorSpec

__all__ = ["DIRECT_BYTES", "Series"]

Array = np.ndarray[Any, np.dtype[Any]]

# From here on a tensor is written at once; copying it into a buffer first would cost as much.
DIRECT_BYTES = 64 * 1024
CHUNK_BYTES = 64 * 1024
# The least that is worth an entry in the chunk index.
MIN_CHUNK_BYTES = 1024
# HDF5 allows chunks below 4 GiB; larger tensors are stored without chunks, one a dataset.
GIANT_BYTES = 1 << 31
# HDF5 allows 32 axes, of which the calls take one; tensors of more axes are stored flat.
MAX_RANK = 31


class Series:
    """The tensors of one tap that share element type and shape, stacked along a leading axis.

    Attributes:
        number: its row in `/series`.
        nbytes: of one tensor.
        is_direct: whether its tensors are written at once, because they are large.
        is_giant: whether one is too large for a chunk, so that the series can hold only one.
        rows: tensors appended so far.
    """

    __slots__ = (
        "_chunk_rows", "_chunks", "_dataset", "_file", "_group", "_name", "_pending", "_stored",
        "dtype", "is_direct", "is_giant", "nbytes", "number", "rows", "spec",
    )  # fmt: skip

    def __init__(
        self, group: h5py.Group, name: str, spec: TensorSpec, file: JournaledFile, number: int
    ) -> None:
        self._group = group
        self._name = name
        self._file = file
        self._pending: list[bytes] = []
        # (first byte, commits at its allocation) of each chunk.
        self._chunks: list[tuple[int, int]] = []
        self._chunk_rows = 0
        self._dataset: h5py.h5d.DatasetID | None = None
        self._stored = spec.shape if len(spec.shape) <= MAX_RANK else (spec.size,)
        self.number = number
        self.spec = spec
        self.dtype = element_type(spec.dtype)
        self.nbytes = spec.size * self.dtype.itemsize
        self.is_direct = self.nbytes >= DIRECT_BYTES
        self.is_giant = self.nbytes >= GIANT_BYTES
        self.rows = 0

    def gather(self, array: Array) -> int:
        """Take one tensor of the series' type and shape for later; its row is returned."""
        self._pending.append(array.tobytes())
        self.rows += 1
        return self.rows - 1

    def gather_rows(self, stack: Array) -> int:
        """Take the tensors `stack[0]`, `stack[1]`, ... for later; returns the first row."""
        data, size = stack.tobytes(), self.nbytes
        self._pending.extend(data[i * size : (i + 1) * size] for i in range(len(stack)))
        self.rows += len(stack)
        return self.rows - len(stack)

    def write(self, array: Array) -> int:
        """Write one tensor of the series' type and shape at once; its row is returned."""
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        if self.is_giant:
            self._write_giant(data)
        else:
            dataset = self._open(1)
            dataset.set_extent((self.rows + 1, *self._stored))
            self._new_chunk(dataset, self.rows, data)
        self.rows += 1
        return self.rows - 1

    def offset(self, row: int) -> int:
        """Where the tensor in `row` begins in the file, once it was drained."""
        if self.nbytes == 0:
            return 0
        chunk, within = divmod(row, self._chunk_rows)
        return self._chunks[chunk][0] + within * self.nbytes

    def drain(self) -> None:
        """Write the buffered tensors."""
        if not self._pending:
            return
        dataset = self._open(len(self._pending))
        dataset.set_extent((self.rows, *self._stored))
        if self.nbytes:
            self._write_pending(dataset)
        self._pending.clear()

    def _write_pending(self, dataset: h5py.h5d.DatasetID) -> None:
        row, done = self.rows - len(self._pending), 0
        while done < len(self._pending):
            within = (row + done) % self._chunk_rows
            rows = self._pending[done : done + self._chunk_rows - within]
            data = b"".join(rows)
            if within == 0:
                whole = data.ljust(self._chunk_rows * self.nbytes, b"\0")
                self._new_chunk(dataset, row + done, whole)
            else:
                self._add_to_chunk(within, data)
            done += len(rows)

    def _add_to_chunk(self, within: int, data: bytes) -> None:
        start, born = self._chunks[-1]
        owned = self._file.commits > born
        self._file.write_rows(start + within * self.nbytes, data, owned=owned)

    def _new_chunk(self, dataset: h5py.h5d.DatasetID, row: int, data: bytes | Array) -> None:
        place = (row, *(0 for _ in self._stored))
        dataset.write_direct_chunk(place, data)
        start, length = self._file.last_write
        if length != len(data):
            # HDF5 wrote something else after the chunk.
            start = dataset.get_chunk_info_by_coord(place).byte_offset
        self._chunks.append((start, self._file.commits))

    def _write_giant(self, data: Array) -> None:
        start = self._create((1, *self._stored), chunk=None).get_offset()
        self._file.write_rows(start, data.data, owned=False)
        self._chunks.append((start, self._file.commits))
        self._chunk_rows = 1

    def _open(self, expected_rows: int) -> h5py.h5d.DatasetID:
        if self._dataset is None:
            self._chunk_rows = _chunk_rows(self.nbytes, expected_rows)
            chunk = (self._chunk_rows, *(max(1, extent) for extent in self._stored))
            self._dataset = self._create((0, *self._stored), chunk=chunk)
        return self._dataset

    def _create(
        self, shape: tuple[int, ...], *, chunk: tuple[int, ...] | None
    ) -> h5py.h5d.DatasetID:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
        links.set_create_intermediate_group(True)
        links.set_char_encoding(h5py.h5t.CSET_UTF8)
        limits = None
        if chunk is None:
            plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        else:
            plist.set_chunk(chunk)
            grows = (h5py.h5s.UNLIMITED if extent == 0 else extent for extent in self._stored)
            limits = (h5py.h5s.UNLIMITED, *grows)
        space = h5py.h5s.create_simple(shape, limits)
        kind = h5py.h5t.py_create(stored_type(self.spec.dtype), logical=True)
        name = self._name.encode()
        dataset = h5py.h5d.create(self._group.id, name, kind, space, plist, links)
        if is_narrow(self.spec.dtype):
            h5py.Dataset(dataset).attrs["dtype"] = self.spec.dtype
        return dataset


def _chunk_rows(nbytes: int, expected_rows: int) -> int:
    """Rows that divide those at hand into equal chunks of 1 KiB to 64 KiB, or one large row."""
    if nbytes == 0:
        return 1024
    least, most = math.ceil(MIN_CHUNK_BYTES / nbytes), max(1, CHUNK_BYTES // nbytes)
    chunks = math.ceil(expected_rows / most)
    return max(least, math.ceil(expected_rows / chunks))
