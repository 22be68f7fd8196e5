"""The parts of a capture file that exist from its first moment."""

from __future__ import annotations

import json
import os

import h5py
import numpy as np

from parity.errors import InputError
from parity.store.journal import ID_BYTES
from parity.store.layout import DRAW_TYPE, FORMAT, INDEX_TYPE, VERSION
from parity.store.meta import JSON_FIELDS, TEXT_FIELDS, CaptureMeta
from parity.store.tables import create_table

__all__ = ["create_skeleton", "write_json", "write_meta"]

# HDF5 keeps attributes of up to 64 KiB beside the object's header.
_MAX_ATTRIBUTE_BYTES = 60_000


def create_skeleton(h5: h5py.File, meta: CaptureMeta) -> tuple[bytes, int]:
    """Lay out an empty capture.

    Returns:
        The run's random identity and where it lies in the file.
    """
    _set_text(h5, "format", FORMAT)
    h5.attrs["version"] = VERSION
    h5.attrs["complete"] = np.bool_(False)
    write_meta(h5, meta)
    for group in ("tensors", "noise", "case"):
        h5.create_group(group)
    create_table(h5, "index", INDEX_TYPE)
    create_table(h5, "noise/draws", DRAW_TYPE)
    h5.create_dataset("producers", shape=(0,), maxshape=(None,), chunks=(1024,), dtype="<i8")
    run_id = os.urandom(ID_BYTES)
    identity = h5.create_dataset("run_id", data=np.frombuffer(run_id, np.uint8))
    offset = int(identity.id.get_offset())
    h5.attrs["run_id_offset"] = offset
    return run_id, offset


def write_meta(h5: h5py.File, meta: CaptureMeta) -> None:
    """State the run's facts as attributes of the root."""
    facts = {name: getattr(meta, name) for name in TEXT_FIELDS}
    facts |= {name: json.dumps(dict(getattr(meta, name))) for name in JSON_FIELDS}
    for name, text in facts.items():
        _set_text(h5, name, text)
    h5.attrs["threads"] = np.int64(meta.threads)


def _set_text(h5: h5py.File, name: str, text: str) -> None:
    # Of fixed length: reading a variable one from a damaged file can keep HDF5 busy for ever.
    encoded = text.encode(errors="replace")
    if len(encoded) > _MAX_ATTRIBUTE_BYTES:
        raise InputError(
            f"the fact {name!r} is longer than {_MAX_ATTRIBUTE_BYTES} bytes",
            hint="put long facts into the environment",
        )
    kind = h5py.string_dtype("utf-8", max(1, len(encoded)))
    h5.attrs[name] = np.array(encoded, dtype=kind)


def write_json(group: h5py.Group, name: str, text: str) -> None:
    """Hold `text` as a scalar string dataset, replacing an older one."""
    if name in group:
        del group[name]
    encoded = text.encode()
    kind = h5py.string_dtype("utf-8", max(1, len(encoded)))
    group.create_dataset(name, data=np.array(encoded, dtype=kind))
