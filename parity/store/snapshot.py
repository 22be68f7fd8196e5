"""All of a capture but its tensors, read in one go and checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from parity.errors import CaptureFileError
from parity.store.case_file import read_case
from parity.store.columns import (
    Columns,
    SeriesInfo,
    check_codes,
    checked_columns,
    decoded_series,
    decoded_texts,
    placed_bytes,
)
from parity.store.expand import expand, is_in_place
from parity.store.floor_table import RecordFloors, read_floors
from parity.store.guard import broken, read_attribute, read_json_text, read_table
from parity.store.image import FileImage, open_image
from parity.store.layout import DRAW_TYPE, FORMAT, INDEX_TYPE, VERSION
from parity.store.meta import JSON_FIELDS, TEXT_FIELDS, CaptureMeta
from parity.tensors import Case

__all__ = ["Snapshot", "take_snapshot"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A capture at one moment.

    Attributes:
        image: the bytes that the offsets count in.
        meta: facts of the run.
        complete: whether the run came to its end.
        run_id: hexadecimal identity of the run.
        columns: its records.
        draws: its random draws, rows of `/noise/draws`, shape `(n,)`.
        draw_nbytes: the size of each draw, shape `(n,)`.
        case: the case without its noise, or None where none was stated.
        environment: JSON values.
        modules: parameter elements by path of the modules that can be called.
        floors: noise floors of the records, by precision.
    """

    image: FileImage
    meta: CaptureMeta
    complete: bool
    run_id: str
    columns: Columns
    draws: Array
    draw_nbytes: Array
    case: Case | None
    environment: dict[str, Any]
    modules: dict[str, int]
    floors: dict[str, RecordFloors]


def take_snapshot(path: Path) -> Snapshot:
    """Read and check everything but the tensors.

    Raises:
        CaptureFileError: when the file is missing, not a capture, of another version or damaged.
    """
    with open_image(path) as image:
        try:
            with h5py.File(image.map, "r") as h5:
                _check_format(h5, str(path))
                return _read(h5, image, str(path))
        except CaptureFileError:
            raise
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            # h5py raises all of these on damaged files.
            raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CaptureFileError:
    if "truncated file" in str(error):
        return CaptureFileError(
            "is truncated: its end is missing",
            where=str(path),
            hint="copy it again from where it is whole, or record it again",
        )
    return broken(f"{type(error).__name__}: {error}", str(path))


def _check_format(h5: h5py.File, where: str) -> None:
    if read_attribute(h5, "format", str, where=where, default="") != FORMAT:
        raise CaptureFileError(
            "is an HDF5 file, but not a parity capture",
            where=where,
            hint="a capture is written by `parity capture` or `parity.record`",
        )
    version = read_attribute(h5, "version", int, where=where, default=0)
    if version != VERSION:
        raise CaptureFileError(
            f"has capture format version {version}, but this parity reads version {VERSION}",
            where=where,
            hint="upgrade parity" if version > VERSION else "record it again with this parity",
        )


def _read(h5: h5py.File, image: FileImage, where: str) -> Snapshot:
    index = read_table(h5, "index", where=where, like=INDEX_TYPE)
    draws = read_table(h5, "noise/draws", where=where, like=DRAW_TYPE)
    series = decoded_series(read_table(h5, "series", where=where), where=where)
    texts = decoded_texts(read_table(h5, "strings", where=where))
    check_codes(index, where, series=len(series))
    check_codes(draws, where, series=len(series))
    floors = read_floors(h5, index["order"], where=where)
    if not is_in_place(h5, index, series, where=where):
        image, index, draws = expand(h5, index, draws, series, where=where)
    columns = checked_columns(
        index,
        series,
        tuple(text for text, *_ in texts),
        read_table(h5, "producers", where=where, like=np.dtype("<i8")),
        file_bytes=len(image.bytes),
        where=where,
    )
    return Snapshot(
        image=image,
        meta=_meta(h5, where),
        complete=read_attribute(h5, "complete", bool, where=where, default=False),
        run_id=read_table(h5, "run_id", where=where, like=np.dtype("u1")).tobytes().hex(),
        columns=columns,
        draws=draws,
        draw_nbytes=_draw_nbytes(draws, columns, series, len(image.bytes), where),
        case=read_case(h5, where=where),
        environment=_json(read_json_text(h5, "environment", where=where), "environment", where),
        modules=_modules(h5, where),
        floors=floors,
    )


def _modules(h5: h5py.File, where: str) -> dict[str, int]:
    found = _json(read_json_text(h5, "modules", where=where), "modules", where)
    if not all(type(count) is int and count >= 0 for count in found.values()):
        raise broken("modules counts something else than elements", where)
    return found


def _draw_nbytes(
    draws: Array, columns: Columns, series: tuple[SeriesInfo, ...], file_bytes: int, where: str
) -> Array:
    limit = len(columns.strings)
    check_codes(draws, where, distribution=limit, site=limit, phase=limit, parameters=limit)
    return placed_bytes(draws, series, file_bytes=file_bytes, where=where)


def _meta(h5: h5py.File, where: str) -> CaptureMeta:
    facts: dict[str, Any] = {
        name: read_attribute(h5, name, str, where=where, default="") for name in TEXT_FIELDS
    }
    for name in JSON_FIELDS:
        text = read_attribute(h5, name, str, where=where, default="")
        facts[name] = _json(text, name, where)
    facts["threads"] = read_attribute(h5, "threads", int, where=where, default=0)
    return CaptureMeta(**facts)


def _json(text: str | None, name: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise broken(f"{name} is no JSON object", where)
    return value
