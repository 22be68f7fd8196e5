"""The names and record types of a capture file; docs/capture-file.md describes them for readers."""

from __future__ import annotations

import re
import struct

import h5py
import numpy as np

from parity.tensors import Tier

__all__ = [
    "DRAW_TYPE",
    "FLOOR_PRECISIONS",
    "FLOOR_TYPE",
    "FORMAT",
    "INDEX_STRUCT",
    "INDEX_TYPE",
    "SERIES_TEXTS",
    "TIERS",
    "TIER_CODES",
    "VERSION",
    "escape",
    "journal_path",
    "shape_text",
]

FORMAT = "parity-capture"
VERSION = 1
TIERS = tuple(Tier)
TIER_CODES = {tier: code for code, tier in enumerate(TIERS)}
_TIER_TYPE = h5py.enum_dtype({str(tier): code for tier, code in TIER_CODES.items()}, basetype="u1")

# /index, one row a record. `series` is a row of /series; `phase` and `source` are rows of
# /strings; the producers are `producers_count` rows of /producers from `producers_start`.
# `row` is the place along the leading axis of the dataset and `offset` the tensor's first byte in
# the file, both -1 where no tensor is kept; `count` is -1 where no statistics are.
_INDEX_FIELDS = (
    *((name, "<i4") for name in ("series", "phase", "source", "thread")),
    *((name, "<i8") for name in ("call", "step", "order", "row", "offset")),
    *((name, "<f8") for name in ("duration_s", "time_s")),
    ("count", "<i8"),
    *((name, "<f8") for name in ("mean", "std", "min", "max", "l2")),
    *((name, "<i8") for name in ("nan_count", "inf_count", "zero_count", "producers_start")),
    ("producers_count", "<i4"),
    ("tier", _TIER_TYPE),
    ("digest", "S32"),
)
INDEX_TYPE = np.dtype(list(_INDEX_FIELDS))
INDEX_STRUCT = struct.Struct("<4i5q2dq5d4qiB32s")

# /noise/draws, one row a random draw; the first four are rows of /strings, `series` of /series.
DRAW_TYPE = np.dtype(
    [(name, "<i4") for name in ("distribution", "site", "phase", "parameters", "series")]
    + [(name, "<i8") for name in ("row", "offset")]
)

# /floors/<precision>/table, one row a record whose noise floor is known; `record` is its row in
# /index.
FLOOR_TYPE = np.dtype([("record", "<i8"), ("floor", "<f8"), ("unstable", "u1")])
FLOOR_PRECISIONS = ("float64", "float32", "float16", "bfloat16")

# /series, one row for each tap, role, slot, element type and shape: five strings.
SERIES_TEXTS = ("path", "role", "slot", "dtype", "shape", "dataset")

_FORBIDDEN = re.compile(r"[%/~\x00-\x1f\x7f]")


def escape(name: str) -> str:
    """`name` as one component of an HDF5 path: injective, and never `.`, `..` or empty."""
    if name.strip(".") == "":
        return "%" + "%".join(f"{ord(letter):02X}" for letter in name)
    return _FORBIDDEN.sub(lambda found: f"%{ord(found.group()):02X}", name)


def shape_text(shape: tuple[int, ...]) -> str:
    """`2x3x4`; empty for a scalar."""
    return "x".join(map(str, shape))


def journal_path(path: str) -> str:
    """The file beside a capture that exists while the capture is being written."""
    return f"{path}.journal"
