"""All stacked datasets of a capture that is being written, within a bounded buffer."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from parity.errors import InputError
from parity.store.journaled import JournaledFile
from parity.store.layout import SERIES_TEXTS, escape, shape_text
from parity.store.series import Series
from parity.store.tables import StringTable
from parity.tensors import TensorSpec

__all__ = ["SeriesSet"]

Array = np.ndarray[Any, np.dtype[Any]]


class SeriesSet:
    """The series by path, role, slot, element type and shape.

    Args:
        h5: the capture.
        file: what it is written through.
        buffer_bytes: memory for tensors that wait to be written together.
    """

    def __init__(self, h5: h5py.File, file: JournaledFile, buffer_bytes: int) -> None:
        self._h5 = h5
        self._file = file
        self._buffer_bytes = buffer_bytes
        self._buffered = 0
        self._dirty: dict[int, Series] = {}
        self._known: dict[tuple[str, str, str, str, tuple[int, ...]], Series] = {}
        self._variants: dict[str, int] = {}
        self._table = StringTable(h5, "series", SERIES_TEXTS)

    def get(self, path: str, role: str, slot: str, spec: TensorSpec) -> Series:
        """The series for tensors of this name and specification, made where it is new."""
        key = (path, role, slot, spec.dtype, spec.shape)
        series = self._known.get(key)
        if series is None:
            series = self._new(path, role, slot, spec)
            if not series.is_giant:
                self._known[key] = series
        return series

    def _new(self, path: str, role: str, slot: str, spec: TensorSpec) -> Series:
        folder = "/noise" if role == "noise" else f"/tensors/{escape(path)}"
        port = f"{role}.{slot}" if slot else role
        name = f"{folder}/{escape(port)}"
        self._variants[name] = variant = self._variants.get(name, 0) + 1
        dataset = name if variant == 1 else f"{name}~{variant}"
        number = len(self._table)
        series = Series(self._h5, dataset, spec, self._file, number)
        self._table.add(path, role, slot, spec.dtype, shape_text(spec.shape), dataset)
        return series

    def store(self, series: Series, array: Array, *, where: object) -> int:
        """Append `array`, of the series' type and shape, and return its row.

        Raises:
            InputError: when the array is of another type or shape, naming `where`.
        """
        if array.dtype != series.dtype or array.shape != series.spec.shape:
            array = _matched(array, series.spec, str(where))
        if series.is_direct:
            return series.write(array)
        self._dirty[series.number] = series
        self._buffered += series.nbytes
        row = series.gather(array)
        if self._buffered >= self._buffer_bytes:
            self.drain()
        return row

    def store_rows(self, series: Series, stack: Array, *, where: object) -> int:
        """Append the tensors `stack[0]`, `stack[1]`, ... and return the first one's row.

        Raises:
            InputError: when they are of another type or shape, naming `where`.
        """
        if series.is_direct or stack.dtype != series.dtype or stack.shape[1:] != series.spec.shape:
            rows = [self.store(series, array, where=where) for array in stack]
            return rows[0]
        self._dirty[series.number] = series
        self._buffered += series.nbytes * len(stack)
        row = series.gather_rows(stack)
        if self._buffered >= self._buffer_bytes:
            self.drain()
        return row

    def drain(self) -> None:
        """Write all buffered tensors."""
        for series in self._dirty.values():
            series.drain()
        self._dirty.clear()
        self._buffered = 0

    def flush(self) -> None:
        """Write all buffered tensors and bring the table of series up to date."""
        self.drain()
        self._table.flush()


def _matched(array: Array, spec: TensorSpec, where: str) -> Array:
    """`array` in this machine's byte order, if that is all that differs."""
    if array.shape == spec.shape and array.dtype.name == spec.dtype:
        return array.astype(array.dtype.newbyteorder("="))
    raise InputError(
        f"is recorded as {spec}, but the array is {TensorSpec(array.dtype.name, array.shape)}",
        where=where,
    )
