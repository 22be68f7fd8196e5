"""Tables that grow while a capture is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from parity.errors import InputError

__all__ = ["StringTable", "append_rows", "create_table"]

MAX_TEXT_BYTES = 4096
_CHUNK_BYTES = 8 * 1024


def create_table(group: h5py.Group, name: str, dtype: np.dtype[Any]) -> None:
    """An empty dataset of shape `(0,)` that can grow."""
    rows = max(1, _CHUNK_BYTES // dtype.itemsize)
    group.create_dataset(name, shape=(0,), maxshape=(None,), chunks=(rows,), dtype=dtype)


def append_rows(group: h5py.Group, name: str, rows: np.ndarray[Any, np.dtype[Any]]) -> None:
    """Append `rows`, shape `(n,)`, to the table."""
    if len(rows) == 0:
        return
    table = group[name]
    start = len(table)
    table.resize((start + len(rows),))
    table[start:] = rows


class StringTable:
    """Rows of one or more strings, in fixed-width fields that widen as longer ones come.

    Fixed widths and not HDF5's variable-length strings: those cost a heap access for each, and a
    hostile file can make a million of them share one large object.
    """

    def __init__(self, group: h5py.Group, name: str, columns: Sequence[str]) -> None:
        self._group = group
        self._name = name
        self._columns = tuple(columns)
        self._widths = [16] * len(columns)
        self._rows: list[tuple[bytes, ...]] = []
        self._codes: dict[str, int] = {}
        self._stored = 0
        create_table(group, name, self._dtype())

    def __len__(self) -> int:
        return len(self._rows)

    def _dtype(self) -> np.dtype[Any]:
        fields = [
            (column, h5py.string_dtype("utf-8", width))
            for column, width in zip(self._columns, self._widths, strict=True)
        ]
        return np.dtype(fields)

    def add(self, *texts: str) -> int:
        """Append a row and return its number."""
        self._rows.append(tuple(_encoded(text) for text in texts))
        return len(self._rows) - 1

    def code(self, text: str) -> int:
        """The number of the row that holds `text`, in a table of one column; added where new."""
        found = self._codes.get(text)
        if found is None:
            found = self._codes[text] = self.add(text)
        return found

    def flush(self) -> None:
        """Bring the dataset up to date."""
        new = self._rows[self._stored :]
        if not new:
            return
        longest = [max(map(len, column)) for column in zip(*new, strict=True)]
        if any(need > have for need, have in zip(longest, self._widths, strict=True)):
            self._widen(longest)
            new = self._rows
        append_rows(self._group, self._name, np.array(new, dtype=self._dtype()))
        self._stored = len(self._rows)

    def _widen(self, longest: Sequence[int]) -> None:
        # Doubling, so that a table is rewritten a few times at most.
        self._widths = [
            max(have, 1 << (need - 1).bit_length()) if need > have else have
            for need, have in zip(longest, self._widths, strict=True)
        ]
        del self._group[self._name]
        create_table(self._group, self._name, self._dtype())


def _encoded(text: str) -> bytes:
    """UTF-8 that fits a fixed-width field."""
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise InputError(f"the name {text!r} is not valid Unicode") from None
    if b"\0" in encoded or len(encoded) > MAX_TEXT_BYTES:
        raise InputError(
            f"the name {text[:80]!r} holds a zero byte or more than {MAX_TEXT_BYTES} bytes",
            hint="give the tap a shorter, printable name",
        )
    return encoded
