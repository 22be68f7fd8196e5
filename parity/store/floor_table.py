"""The noise floors that a capture file holds, as they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from parity.store.guard import broken, read_json_text, read_table
from parity.store.layout import FLOOR_PRECISIONS, FLOOR_TYPE

__all__ = ["RecordFloors", "read_floors"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class RecordFloors:
    """The floors of one precision, one entry a record, in execution order.

    Attributes:
        floor: relative L2 errors, float64 `(n,)`, NaN where unknown.
        unstable: whether rounding alone changed an integer or truth value there, bool `(n,)`.
        facts: with what they were measured, JSON values.
    """

    floor: Array
    unstable: Array
    facts: Mapping[str, Any]


def read_floors(h5: h5py.File, order: Array, *, where: str) -> dict[str, RecordFloors]:
    """The floors that a capture holds, by precision.

    Args:
        h5: the capture.
        order: column `order` of `/index`, shape `(n,)`, in the order of the file.
        where: the file's name, for errors.

    Raises:
        CaptureFileError: they make no sense.
    """
    found: dict[str, RecordFloors] = {}
    if "floors" not in h5:
        return found
    # Names are asked for one by one: a hostile file may have millions.
    group = h5.get("floors", getlink=True)
    if not isinstance(group, h5py.HardLink) or not isinstance(h5["floors"], h5py.Group):
        raise broken("/floors is not a group", where)
    sorted_to = np.argsort(np.argsort(order, kind="stable"), kind="stable")
    for precision in FLOOR_PRECISIONS:
        if precision in h5["floors"]:
            found[precision] = _read(h5, f"floors/{precision}", sorted_to, where)
    return found


def _read(h5: h5py.File, name: str, sorted_to: Array, where: str) -> RecordFloors:
    table = read_table(h5, f"{name}/table", where=where, like=FLOOR_TYPE)
    rows, values, flags = table["record"], table["floor"], table["unstable"]
    if len(table) > len(sorted_to):
        raise broken(f"{name} has more floors than there are records", where)
    if len(rows) and not (rows[0] >= 0 and rows[-1] < len(sorted_to) and (np.diff(rows) > 0).all()):
        raise broken(f"{name} refers to a record that is not there, or to one twice", where)
    if not (np.isfinite(values) & (values >= 0)).all():
        raise broken(f"{name} has a floor that is no error", where)
    if (flags > 1).any():
        raise broken(f"{name} has a mark that is neither 0 nor 1", where)
    floor, unstable = np.full(len(sorted_to), np.nan), np.zeros(len(sorted_to), bool)
    floor[sorted_to[rows]] = values
    unstable[sorted_to[rows]] = flags == 1
    return RecordFloors(floor, unstable, _facts(h5, name, where))


def _facts(h5: h5py.File, name: str, where: str) -> dict[str, Any]:
    try:
        facts = json.loads(read_json_text(h5, f"{name}/about", where=where) or "{}")
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise broken(f"{name}/about is no JSON object", where)
    return facts
