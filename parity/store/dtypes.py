"""Element types: which a capture can hold, and how HDF5 holds their bits."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from parity.errors import InputError

__all__ = ["element_type", "is_narrow", "stored_type", "supported_types"]

_NUMPY_TYPES = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
# HDF5 has no such types, or only in its newest versions: their bits are kept in unsigned integers.
_NARROW_TYPES = (
    *("bfloat16", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn"),
    *("float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
    *("float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn", "int2", "int4", "uint2", "uint4"),
)


def _by_name() -> dict[str, np.dtype[Any]]:
    types = {name: np.dtype(name) for name in _NUMPY_TYPES}
    narrow = [name for name in _NARROW_TYPES if hasattr(ml_dtypes, name)]
    return types | {name: np.dtype(getattr(ml_dtypes, name)) for name in narrow}


_TYPES = _by_name()


def supported_types() -> tuple[str, ...]:
    """The names of all element types that a capture can hold."""
    return tuple(_TYPES)


def is_narrow(name: str) -> bool:
    """Whether HDF5 holds only the bits of this type, as unsigned integers."""
    return name in _NARROW_TYPES


def element_type(name: str, *, where: str | None = None) -> np.dtype[Any]:
    """The numpy type named `name`, from numpy or `ml_dtypes`.

    Raises:
        InputError: when a capture cannot hold this type.
    """
    try:
        return _TYPES[name]
    except KeyError:
        raise InputError(
            f"element type {name!r} cannot be stored",
            where=where,
            hint=f"convert the tensor to one of {', '.join(_NUMPY_TYPES)} or bfloat16 first",
        ) from None


def stored_type(name: str) -> np.dtype[Any]:
    """The type of the HDF5 dataset that holds elements of type `name`, little-endian."""
    dtype = _TYPES[name]
    if is_narrow(name):
        return np.dtype(f"<u{dtype.itemsize}")
    return dtype.newbyteorder("<")
