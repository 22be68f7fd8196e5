"""Reads .npy and .npz with every size checked against the file before memory is taken for it."""

from __future__ import annotations

import ast
import math
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from parity.tensors import TensorSpec
from parity_files.tensor import Array, StoredTensor, broken, check_kind

__all__ = ["npy_tensors", "npz_tensors"]

# What numpy and zipfile raise on damaged input.
_DAMAGE = (
    *(ValueError, OSError, EOFError, OverflowError, SyntaxError, TypeError, LookupError),
    *(AttributeError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error),
)
# Deflate cannot shrink further than 1032 to 1, so a member that claims to is made to fill memory.
_MOST_DEFLATED = 1032
_SLACK = 4096
_LONGEST_HEADER = 10_000


def npy_tensors(path: Path, where: str) -> Iterator[StoredTensor]:
    """The one tensor of a .npy file, mapped when it is read."""
    try:
        with path.open("rb") as file:
            shape, fortran, dtype = _header(file)
            start = file.tell()
    except _DAMAGE as error:
        raise broken(where, error) from error
    check_kind(dtype, where)
    claimed, there = _nbytes(shape, dtype), path.stat().st_size - start
    if claimed != there:
        raise broken(where, f"its header announces {claimed} bytes, {there} follow")

    def read() -> Array:
        order = "F" if fortran else "C"
        if claimed == 0:
            return np.empty(shape, dtype)
        return np.memmap(path, dtype, "r", start, shape, order)  # type: ignore[call-overload,no-any-return]

    yield StoredTensor("", TensorSpec(str(dtype), shape), claimed, read)


def npz_tensors(path: Path, where: str) -> Iterator[StoredTensor]:
    """The tensors of a .npz file, in the order they were written."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            for info in members:
                yield _member(path, archive, info, f"{where}[{info.filename[:-4]}]")
    except _DAMAGE as error:
        raise broken(where, error) from error


def _member(
    path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str
) -> StoredTensor:
    if info.file_size > _MOST_DEFLATED * info.compress_size + _SLACK:
        raise broken(where, f"{info.compress_size} bytes cannot unpack to {info.file_size}")
    with archive.open(info) as file:
        shape, fortran, dtype = _header(file)
        start = file.tell()
    check_kind(dtype, where)
    claimed, there = _nbytes(shape, dtype), info.file_size - start
    if claimed != there:
        raise broken(where, f"its header announces {claimed} bytes, {there} follow")

    def read() -> Array:
        try:
            with zipfile.ZipFile(path) as again, again.open(info) as file:
                file.seek(start)
                flat = np.frombuffer(file.read(claimed), dtype)
        except _DAMAGE as error:
            raise broken(where, error) from error
        return flat.reshape(shape, order="F" if fortran else "C")

    return StoredTensor(info.filename[:-4], TensorSpec(str(dtype), shape), claimed, read)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    # numpy's own reader warns, and repairs headers by tokenising them; we take what is valid.
    magic = file.read(8)
    if magic[:6] != b"\x93NUMPY" or len(magic) < 8 or magic[6] not in (1, 2, 3):
        raise ValueError("it does not begin like a .npy file")
    length = int.from_bytes(file.read(2 if magic[6] == 1 else 4), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"its header claims {length} bytes")
    header = ast.literal_eval(file.read(length).decode("utf-8" if magic[6] == 3 else "latin1"))
    shape, fortran = header["shape"], header["fortran_order"]
    if type(shape) is not tuple or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"its shape is {shape}")
    dtype = np.lib.format.descr_to_dtype(header["descr"])  # type: ignore[no-untyped-call]
    return shape, fortran is True, dtype


def _nbytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    return math.prod(shape) * dtype.itemsize
