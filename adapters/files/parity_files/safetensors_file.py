"""Reads .safetensors without torch, every offset checked against the file.

Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from parity.tensors import TensorSpec
from parity_files.tensor import Array, StoredTensor, broken

__all__ = ["safetensors_tensors"]

# The format's own limit on the header.
_LONGEST_HEADER = 100_000_000
_DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype("<u1"), "U16": np.dtype("<u2"), "U32": np.dtype("<u4"), "U64": np.dtype("<u8"),
    "I8": np.dtype("<i1"), "I16": np.dtype("<i2"), "I32": np.dtype("<i4"), "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8"),
    "BF16": np.dtype(ml_dtypes.bfloat16), "C64": np.dtype("<c8"),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn), "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E8M0": np.dtype(ml_dtypes.float8_e8m0fnu),
}  # fmt: skip


def safetensors_tensors(path: Path, where: str) -> Iterator[StoredTensor]:
    """The tensors of a .safetensors file, mapped when they are read, in the header's order."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
            raise broken(where, f"its header claims {length} bytes, the file has {size}")
        header = _parse(file.read(length), where)
    for name, entry in header.items():
        if name != "__metadata__":
            yield _tensor(path, name, entry, 8 + length, f"{where}[{name}]")


def _parse(text: bytes, where: str) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise broken(where, f"its header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise broken(where, "its header is not a JSON object")
    return header


def _tensor(path: Path, name: str, entry: object, data: int, where: str) -> StoredTensor:
    dtype, shape, first, stop = _checked(entry, where)
    size = path.stat().st_size
    if not 0 <= first <= stop <= size - data:
        raise broken(where, f"bytes {first} to {stop} of {size - data}")
    if stop - first != math.prod(shape) * dtype.itemsize:
        raise broken(where, f"{stop - first} bytes for {dtype}{list(shape)}")

    def read() -> Array:
        if first == stop:
            return np.empty(shape, dtype)
        raw = np.memmap(path, np.uint8, "r", data + first, (stop - first,))
        return raw.view(dtype).reshape(shape)

    return StoredTensor(name, TensorSpec(str(dtype), shape), stop - first, read)


def _checked(entry: object, where: str) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    try:
        dtype = _DTYPES[entry["dtype"]]  # type: ignore[index]
        shape, (first, stop) = tuple(entry["shape"]), entry["data_offsets"]  # type: ignore[index]
    except (KeyError, TypeError, ValueError) as error:
        raise broken(where, f"cannot use its entry {str(entry)[:200]}") from error
    if not all(type(number) is int and number >= 0 for number in (*shape, first, stop)):
        raise broken(where, f"negative or broken numbers in its entry {str(entry)[:200]}")
    return dtype, shape, first, stop
