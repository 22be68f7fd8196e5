"""The records of a capture as columns, so that twenty thousand need not become Python objects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity.store.dtypes import element_type, supported_types
from parity.store.guard import broken
from parity.store.layout import SERIES_TEXTS, TIERS
from parity.tensors import Role

__all__ = [
    "Columns",
    "SeriesInfo",
    "check_codes",
    "checked_columns",
    "decoded_series",
    "decoded_texts",
    "placed_bytes",
]

Array = np.ndarray[Any, np.dtype[Any]]

NOISE_ROLE = "noise"
_ROLES = frozenset({*map(str, Role), NOISE_ROLE})
_MAX_AXES = 64


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """What the records of one stacked dataset share.

    Attributes:
        path: of the tap.
        role: of the tensors; `noise` for random draws.
        slot: which of several tensors of that role.
        dtype: name of the element type.
        shape: of one tensor.
        dataset: where the HDF5 file stacks them.
        nbytes: of one tensor.
    """

    path: str
    role: str
    slot: str
    dtype: str
    shape: tuple[int, ...]
    dataset: str
    nbytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """All records of a capture, in execution order.

    Attributes:
        table: one row a record, shape `(n,)`, with the fields of `/index`.
        series: what `table["series"]` counts in.
        strings: what `table["phase"]` and `table["source"]` count in.
        producers: `table["producers_count"]` orders from `table["producers_start"]`, shape `(m,)`.
        offsets: first byte of each kept tensor in `Capture.slab()`, -1 where none is, `(n,)` int64.
        nbytes: of each kept tensor, 0 where none is, `(n,)` int64.
    """

    table: Array
    series: tuple[SeriesInfo, ...]
    strings: tuple[str, ...]
    producers: Array
    offsets: Array
    nbytes: Array

    def __len__(self) -> int:
        return len(self.table)

    @property
    def kept(self) -> Array:
        """Whether the tensor itself was kept, shape `(n,)` bool."""
        return np.asarray(self.table["row"] >= 0)


def decoded_texts(table: Array) -> list[tuple[str, ...]]:
    """The rows of a table of fixed-width UTF-8 strings."""
    columns = [_decoded(table[name].tolist()) for name in table.dtype.names or ()]
    return list(zip(*columns, strict=True))


def _decoded(texts: list[bytes]) -> list[str]:
    try:
        return list(map(bytes.decode, texts))
    except UnicodeDecodeError:
        return [text.decode(errors="replace") for text in texts]


def decoded_series(table: Array, *, where: str) -> tuple[SeriesInfo, ...]:
    """The rows of `/series`.

    Raises:
        CaptureFileError: when a row makes no sense.
    """
    if table.dtype.names != SERIES_TEXTS:
        raise broken("/series has other columns", where)
    # Thousands of series share a few specifications.
    specs: dict[tuple[str, str], tuple[tuple[int, ...], int]] = {}
    found = []
    for path, role, slot, dtype, shape_text, name in decoded_texts(table):
        if role not in _ROLES:
            raise broken(f"{name} has the unknown role {role!r}", where)
        spec = specs.get((dtype, shape_text))
        if spec is None:
            spec = specs[dtype, shape_text] = _spec(dtype, shape_text, where)
        found.append(SeriesInfo(path, role, slot, dtype, spec[0], name, spec[1]))
    return tuple(found)


def _spec(dtype: str, shape_text: str, where: str) -> tuple[tuple[int, ...], int]:
    """The shape, and the bytes of one tensor."""
    if dtype not in supported_types():
        raise broken(f"a tensor has the unknown element type {dtype!r}", where)
    shape = _shape(shape_text, where)
    return shape, math.prod(shape) * element_type(dtype).itemsize


def _shape(text: str, where: str) -> tuple[int, ...]:
    extents = text.split("x") if text else []
    # Nineteen digits hold any extent; int() takes quadratic time on a million of them.
    if len(extents) > _MAX_AXES or not all(
        extent.isascii() and extent.isdecimal() and len(extent) < 20 for extent in extents
    ):
        raise broken(f"{text[:80]!r} is not a shape", where)
    return tuple(map(int, extents))


def checked_columns(
    table: Array,
    series: tuple[SeriesInfo, ...],
    strings: tuple[str, ...],
    producers: Array,
    *,
    file_bytes: int,
    where: str,
) -> Columns:
    """The columns in execution order, once every number in them was found to be within bounds.

    Raises:
        CaptureFileError: when a row refers to something that is not there.
    """
    if np.any(np.diff(table["order"]) <= 0):
        table = table[np.argsort(table["order"], kind="stable")]
    check_codes(
        table, where, series=len(series), phase=len(strings), source=len(strings), tier=len(TIERS)
    )
    _check_producers(table, len(producers), where)
    drawn = np.array([info.role == NOISE_ROLE for info in series], bool)
    if len(table) and drawn[table["series"]].any():
        raise broken("a record refers to a random draw", where)
    nbytes = placed_bytes(table, series, file_bytes=file_bytes, where=where)
    offsets = np.where(table["row"] >= 0, table["offset"], -1)
    return Columns(table, series, strings, producers, offsets, nbytes)


def placed_bytes(
    table: Array, series: tuple[SeriesInfo, ...], *, file_bytes: int, where: str
) -> Array:
    """The size of each row's tensor, 0 where none is kept, `(n,)` int64."""
    # Only records without their tensor may be larger than the file.
    sizes = [info.nbytes if info.nbytes <= file_bytes else -1 for info in series]
    kept = table["row"] >= 0
    nbytes = np.zeros(len(table), np.int64)
    nbytes[kept] = np.array(sizes, np.int64)[table["series"][kept]]
    misplaced = kept & (
        (nbytes < 0) | (table["offset"] < 0) | (table["offset"] > file_bytes - nbytes)
    )
    if misplaced.any():
        raise broken(f"row {int(misplaced.argmax())} of the index points outside the file", where)
    return nbytes


def check_codes(table: Array, where: str, **limits: int) -> None:
    """Check that each named column holds only numbers from 0 to below its limit.

    Raises:
        CaptureFileError: naming the column.
    """
    for name, limit in limits.items():
        codes = table[name]
        if len(codes) and not (codes.min() >= 0 and codes.max() < limit):
            raise broken(f"a row refers to a {name} that is not there", where)


def _check_producers(table: Array, available: int, where: str) -> None:
    start, count = table["producers_start"], table["producers_count"]
    if ((count < 0) | (start < 0) | (start > available - count)).any():
        raise broken("the index refers to producers that are not there", where)
