"""Adds noise floors to a capture file: what rounding alone explains at each record.

The file is replaced in one step by a copy that has them, so that whoever reads it, or is killed
while writing, has the one or the other.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from parity.errors import CaptureFileError, InputError
from parity.store.capture import open_capture
from parity.store.case_file import to_json
from parity.store.floor_table import RecordFloors, read_floors
from parity.store.layout import FLOOR_PRECISIONS, FLOOR_TYPE
from parity.store.skeleton import write_json

__all__ = ["RecordFloors", "read_floors", "write_floors"]

Array = np.ndarray[Any, np.dtype[Any]]


def write_floors(path: str | os.PathLike[str], floors: Mapping[str, RecordFloors]) -> None:
    """Add noise floors to a complete capture, by precision; those it has of one are replaced.

    Raises:
        InputError: floors that are negative or infinite, or not one a record.
        CaptureFileError: the file is no complete capture, or cannot be written.
    """
    target = Path(path).resolve()
    with open_capture(target) as capture:
        if not capture.complete:
            raise CaptureFileError(
                "is incomplete, and its noise floors would be too",
                where=str(path),
                hint="record it again to its end",
            )
        records = len(capture)
    for precision, found in floors.items():
        _check(precision, found, records)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.floors")
    try:
        shutil.copyfile(target, temporary)
        shutil.copymode(target, temporary)
        _add(temporary, floors)
        temporary.replace(target)
    except OSError as error:
        raise CaptureFileError(
            f"the noise floors cannot be written: {error}",
            where=str(path),
            hint="check that the folder may be written, and that the disk has room",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _check(precision: str, floors: RecordFloors, records: int) -> None:
    where = f"floors of {precision}"
    if precision not in FLOOR_PRECISIONS:
        raise InputError(
            f"there is no precision {precision!r}", hint=f"one of {', '.join(FLOOR_PRECISIONS)}"
        )
    if floors.floor.shape != (records,) or floors.unstable.shape != (records,):
        shape = list(floors.floor.shape)
        raise InputError(f"{shape} are not one for each of {records:,} records", where=where)
    if (floors.floor < 0).any() or np.isinf(floors.floor).any():
        raise InputError("a noise floor is negative or infinite", where=where)


def _add(path: Path, floors: Mapping[str, RecordFloors]) -> None:
    with h5py.File(path, "r+") as h5:
        order = np.argsort(h5["index"].fields("order")[:], kind="stable")
        # Only what another tool put there could be no group.
        group = h5.require_group("floors")
        for precision, found in floors.items():
            if precision in group:
                del group[precision]
            place = group.create_group(precision)
            place.create_dataset("table", data=_table(found, order))
            write_json(place, "about", to_json(found.facts, where="floors"))


def _table(floors: RecordFloors, order: Array) -> Array:
    """Rows by place in `/index`, of the records whose floor is known."""
    known = np.flatnonzero(~np.isnan(floors.floor))
    table = np.zeros(len(known), FLOOR_TYPE)
    table["record"] = order[known]
    table["floor"] = floors.floor[known]
    table["unstable"] = floors.unstable[known]
    return np.sort(table, order="record")
