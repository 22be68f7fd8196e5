"""The case and the environment of a capture: JSON, and the case's arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from parity.errors import InputError
from parity.store.dtypes import element_type, is_narrow, stored_type
from parity.store.guard import MAX_RATIO, broken, dataset, read_json_text
from parity.store.layout import escape
from parity.store.skeleton import write_json
from parity.tensors import Case

__all__ = ["read_case", "to_json", "write_case"]


def to_json(value: Mapping[str, Any], *, where: str) -> str:
    """`value` as JSON text.

    Raises:
        InputError: when it holds something that JSON has no word for.
    """
    try:
        return json.dumps(dict(value), ensure_ascii=True)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"holds something that is no JSON value: {error}",
            where=where,
            hint="put arrays into Case.arrays, and write other values as text or numbers",
        ) from None


def write_case(h5: h5py.File, case: Case) -> None:
    """Hold `case` under `/case`: `json`, and one dataset an array under `arrays`."""
    group = h5["case"]
    if "arrays" in group:
        del group["arrays"]
    datasets = {
        name: _write_array(group.require_group("arrays"), name, array)
        for name, array in case.arrays.items()
    }
    facts = {
        "name": case.name,
        "inputs": dict(case.inputs),
        "seed": case.seed,
        "replays_noise": case.noise is not None,
        "arrays": datasets,
    }
    write_json(group, "json", to_json(facts, where=f"case {case.name}"))


def _write_array(
    group: h5py.Group, name: str, array: np.ndarray[Any, np.dtype[Any]]
) -> dict[str, Any]:
    dtype = element_type(array.dtype.name, where=f"case array {name}")
    array = np.asarray(array, dtype)
    stored = stored_type(array.dtype.name)
    bits = array.view(stored) if is_narrow(array.dtype.name) else array
    dataset = group.create_dataset(escape(name), data=bits, dtype=stored)
    dataset.attrs["dtype"] = array.dtype.name
    return {"dtype": array.dtype.name, "dataset": dataset.name, "shape": list(array.shape)}


def read_case(h5: h5py.File, *, where: str) -> Case | None:
    """The case without its noise, or None where none was stated.

    Raises:
        CaptureFileError: when it does not hold together.
    """
    text = read_json_text(h5, "case/json", where=where)
    if text is None:
        return None
    try:
        facts = json.loads(text)
        arrays = {
            str(name): _read_array(h5, entry, where) for name, entry in facts["arrays"].items()
        }
        return Case(str(facts["name"]), dict(facts["inputs"]), arrays, int(facts["seed"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InputError) as error:
        raise broken(f"the case makes no sense ({error})", where) from error


def _read_array(h5: h5py.File, entry: Any, where: str) -> np.ndarray[Any, np.dtype[Any]]:
    stored = dataset(h5, str(entry["dataset"]), where=where)
    dtype = element_type(str(entry["dtype"]))
    if stored.dtype != stored_type(str(entry["dtype"])):
        raise broken(f"{stored.name} has another element type than the case says", where)
    if stored.nbytes > MAX_RATIO * stored.id.get_storage_size():
        raise broken(f"{stored.name} declares more than it holds", where)
    return np.asarray(stored[()]).view(dtype).reshape(entry["shape"])
