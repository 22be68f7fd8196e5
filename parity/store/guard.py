"""Reading HDF5 objects that somebody else made: within the file, and within bounds."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from parity.errors import CaptureFileError

__all__ = ["MAX_RATIO", "broken", "dataset", "read_attribute", "read_json_text", "read_table"]

# What gzip can do at best; a file that claims more is not honest.
MAX_RATIO = 1032
# Tables are read into memory whole.
_MAX_UNPACKED_BYTES = 1 << 30

Array = np.ndarray[Any, np.dtype[Any]]


def broken(what: str, where: str) -> CaptureFileError:
    """The error for a file whose parts do not fit together."""
    return CaptureFileError(
        f"is damaged or was not written by parity: {what}",
        where=where,
        hint="record it again; if parity wrote it, please report how it came about",
    )


def dataset(h5: h5py.File, name: str, *, where: str) -> h5py.Dataset:
    """The dataset at the absolute path `name`, reached by hard links and stored in the file.

    Raises:
        CaptureFileError: when it is missing, or its data would come from elsewhere.
    """
    node: Any = h5
    for part in name.strip("/").split("/"):
        if not isinstance(node, h5py.Group) or part not in node:
            raise broken(f"{name} is missing", where)
        if not isinstance(node.get(part, getlink=True), h5py.HardLink):
            raise broken(f"{name} is a link that leaves its place", where)
        node = node[part]
    if not isinstance(node, h5py.Dataset):
        raise broken(f"{name} is not a dataset", where)
    if node.is_virtual or node.external:
        raise broken(f"{name} takes its data from another file", where)
    return node


def read_table(h5: h5py.File, name: str, *, where: str, like: np.dtype[Any] | None = None) -> Array:
    """A whole table of shape `(n,)`, no larger than the bytes that the file holds for it.

    Args:
        h5: the file.
        name: absolute path of the table.
        where: the file's name, for errors.
        like: the row type it must have; None for fixed-width strings under any names.
    """
    table = dataset(h5, name, where=where)
    if table.ndim != 1 or not _fits(table.dtype, like):
        raise broken(f"{name} has rows of an unknown type", where)
    if table.nbytes > _most_bytes(table):
        raise broken(f"{name} declares {table.shape[0]} rows but holds fewer", where)
    return np.asarray(table[:])


def _most_bytes(table: h5py.Dataset) -> int:
    stored = int(table.id.get_storage_size())
    if table.id.get_create_plist().get_nfilters():
        return min(stored * MAX_RATIO, _MAX_UNPACKED_BYTES)
    return stored


def _fits(dtype: np.dtype[Any], like: np.dtype[Any] | None) -> bool:
    if like is None:
        return dtype.names is not None and all(dtype[name].kind == "S" for name in dtype.names)
    if like.fields is None:
        return dtype == like
    # Enumerations compare by their base type: names are for people.
    return dtype.names == like.names and all(
        dtype[name].str == like[name].str for name in like.names or ()
    )


def read_json_text(h5: h5py.File, name: str, *, where: str) -> str | None:
    """The text of a scalar string dataset, or None where there is none."""
    parent, _, leaf = name.strip("/").rpartition("/")
    if leaf not in (h5[parent] if parent else h5):
        return None
    text = dataset(h5, name, where=where)
    if text.shape != () or text.dtype.kind != "S":
        raise broken(f"{name} is not a text", where)
    if text.dtype.itemsize > text.id.get_storage_size():
        raise broken(f"{name} declares more text than it holds", where)
    return bytes(text[()]).decode(errors="replace")


def read_attribute(h5: h5py.File, name: str, kind: type, *, where: str, default: Any) -> Any:
    """A scalar attribute of the root as a Python `kind`, or `default` where there is none."""
    if name not in h5.attrs:
        return default
    attribute = h5.attrs.get_id(name)
    if attribute.shape != () or attribute.dtype.kind not in "Sbiu":
        raise broken(f"the attribute {name} is not a single value of fixed size", where)
    value = h5.attrs[name]
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, kind):
        raise broken(f"the attribute {name} is no {kind.__name__}", where)
    return value
