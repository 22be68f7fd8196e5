"""Captures that another tool rewrote (compressed, repacked): their tensors have moved."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import h5py
import numpy as np

from parity.store.columns import SeriesInfo
from parity.store.dtypes import stored_type
from parity.store.guard import MAX_RATIO, broken, dataset, read_attribute
from parity.store.image import FileImage

__all__ = ["expand", "is_in_place"]

Array = np.ndarray[Any, np.dtype[Any]]

_SPOT_CHECKS = 16


def is_in_place(h5: h5py.File, index: Array, series: tuple[SeriesInfo, ...], *, where: str) -> bool:
    """Whether the tensors still lie where the index says.

    A tool that rewrites the file moves `run_id` too; some records are checked against HDF5 besides.
    """
    stated = read_attribute(h5, "run_id_offset", int, where=where, default=-1)
    if dataset(h5, "run_id", where=where).id.get_offset() != stated:
        return False
    kept = np.flatnonzero(index["row"] >= 0)
    picks = kept[np.linspace(0, len(kept) - 1, min(len(kept), _SPOT_CHECKS)).astype(int)]
    return all(_lies_at(h5, index[pick], series, where) for pick in picks)


def _lies_at(h5: h5py.File, row: Any, series: tuple[SeriesInfo, ...], where: str) -> bool:
    info = series[row["series"]]
    if info.nbytes == 0:
        return True
    stack = dataset(h5, info.dataset, where=where)
    number = int(row["row"])
    if not 0 <= number < len(stack) or stack.id.get_create_plist().get_nfilters():
        return False
    if stack.chunks is None:
        return bool(stack.id.get_offset() == row["offset"])
    first = number - number % stack.chunks[0]
    chunk = stack.id.get_chunk_info_by_coord((first, *(0 for _ in stack.shape[1:])))
    if chunk.byte_offset is None:
        return False
    return bool(chunk.byte_offset + (number - first) * info.nbytes == row["offset"])


def expand(
    h5: h5py.File,
    index: Array,
    draws: Array,
    series: tuple[SeriesInfo, ...],
    *,
    where: str,
) -> tuple[FileImage, Array, Array]:
    """Copy all tensors into a temporary file, which is gone as soon as it is closed.

    Returns:
        The temporary file, and copies of `index` and `draws` with offsets into it.
    """
    index, draws = index.copy(), draws.copy()
    with tempfile.TemporaryFile() as file:
        file.write(b"\0" * 64)
        starts = {number: _copy(h5, series[number], file, where) for number in _used(index, draws)}
        file.flush()
        image = FileImage(file.fileno(), None)
    for table in (index, draws):
        _place(table, series, starts)
    return image, index, draws


def _used(*tables: Array) -> Iterator[int]:
    """The series of which some tensor was kept."""
    used = [table["series"][table["row"] >= 0] for table in tables]
    yield from np.unique(np.concatenate(used)).tolist()


def _copy(h5: h5py.File, info: SeriesInfo, file: IO[bytes], where: str) -> tuple[int, int]:
    """Append all tensors of one series; where they begin, and how many they are."""
    start = -(-file.tell() // 64) * 64
    file.seek(start)
    if info.nbytes == 0:
        return start, np.iinfo(np.int64).max
    stack = dataset(h5, info.dataset, where=where)
    if stack.dtype != stored_type(info.dtype) or stack[:0].size or _row_bytes(stack) != info.nbytes:
        raise broken(f"{info.dataset} is not what the index says of it", where)
    if stack.nbytes > MAX_RATIO * (stack.id.get_storage_size() + 1024):
        raise broken(f"{info.dataset} declares more than it can hold", where)
    for row in range(len(stack)):
        file.write(np.ascontiguousarray(stack[row]).tobytes())
    return start, len(stack)


def _row_bytes(stack: h5py.Dataset) -> int:
    return int(math.prod(stack.shape[1:]) * stack.dtype.itemsize)


def _place(
    table: Array, series: tuple[SeriesInfo, ...], starts: dict[int, tuple[int, int]]
) -> None:
    for position in np.flatnonzero(table["row"] >= 0).tolist():
        number, row = int(table["series"][position]), int(table["row"][position])
        start, rows = starts[number]
        # An offset that no file has is found by the check that every index goes through.
        table["offset"][position] = start + row * series[number].nbytes if row < rows else -1
