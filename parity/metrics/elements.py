"""What the elements of an array are to a comparison: numbers to subtract, and bits to match."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from parity.errors import InputError

__all__ = [
    "difference",
    "flat",
    "has_ulp",
    "is_wide_integer",
    "numbers",
    "same_bits",
    "ulp_distance",
]

Array = np.ndarray[Any, np.dtype[Any]]

# Their sign is not the top bit of the byte that holds them, or there is none.
WITHOUT_ULP = ("float4_", "float6_", "float8_e8m0")


def flat(array: Array) -> Array:
    """The elements in C order, shape `(n,)`, in native byte order and at most 64 bits a number.

    A view where the layout allows it.

    Raises:
        InputError: for text, objects, dates and records.
    """
    array = np.asarray(array)
    if not _is_plain(array.dtype):
        array = _plain(array)
    return array.reshape(-1)


@cache  # of few dtypes, and asked for tens of thousands of small tensors
def _is_plain(dtype: np.dtype[Any]) -> bool:
    return dtype.isnative and dtype.char not in "gG" and (dtype.kind in "fiubc" or _is_small(dtype))


def _plain(array: Array) -> Array:
    dtype = array.dtype
    if dtype.kind not in "fiubc" and not _is_small(dtype):
        raise InputError(
            f"an array of dtype {dtype} holds no numbers to compare",
            hint="convert it to a numeric dtype first",
        )
    if dtype.char in "gG":  # long doubles, whose padding bytes are arbitrary
        return array.astype(np.complex128 if dtype.char == "G" else np.float64)
    return array.astype(dtype.newbyteorder("="))


def numbers(array: Array) -> Array:
    """The elements as float64 or complex128, same shape; integers beyond 2**53 are rounded."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def is_wide_integer(reference: Array, candidate: Array) -> bool:
    """Whether both are of one integer dtype that float64 cannot hold all values of."""
    return reference.dtype == candidate.dtype and reference.dtype.char in "qQlL"


def difference(reference: Array, candidate: Array) -> Array:
    """`candidate - reference` of wide integers as float64, same shape as both.

    They are subtracted before they are rounded, so that 2**60 and 2**60 + 1 differ by one.
    """
    larger = candidate >= reference
    high = np.where(larger, candidate, reference).astype(np.uint64)
    low = np.where(larger, reference, candidate).astype(np.uint64)
    magnitude = (high - low).astype(np.float64)
    return np.where(larger, magnitude, -magnitude)


def same_bits(reference: Array, candidate: Array) -> Array:
    """Where two flat arrays hold the same, bool `(n,)`: bits, or numbers if the dtypes differ."""
    if reference.dtype != candidate.dtype:
        return np.asarray(numbers(reference) == numbers(candidate))
    size = reference.dtype.itemsize
    if reference.dtype.kind != "c":
        return np.asarray(reference.view(f"u{size}") == candidate.view(f"u{size}"))
    parts = reference.view(f"u{size // 2}") == candidate.view(f"u{size // 2}")
    return np.asarray(parts[0::2] & parts[1::2])


def has_ulp(reference: Array, candidate: Array) -> bool:
    """Whether units in the last place are defined: one real floating-point dtype on both sides."""
    name = reference.dtype.name
    is_float = "float" in name and not name.startswith(WITHOUT_ULP)
    return is_float and reference.dtype == candidate.dtype


def ulp_distance(reference: Array, candidate: Array) -> Array:
    """How many numbers of their dtype two floats are apart, float64 `(n,)`; -0.0 is 0.0."""
    above = np.maximum(_place(reference), _place(candidate))
    below = np.minimum(_place(reference), _place(candidate))
    unsigned = f"u{reference.dtype.itemsize}"
    # The difference may not fit the signed type, but always the unsigned one.
    distance: Array = above.view(unsigned) - below.view(unsigned)
    return distance.astype(np.float64)


def _place(array: Array) -> Array:
    """The position on the line of all numbers of this dtype, as a signed integer."""
    bits = array.view(f"i{array.dtype.itemsize}")
    sign = bits >> (8 * bits.dtype.itemsize - 1)
    return np.asarray(((bits & np.iinfo(bits.dtype).max) ^ sign) - sign)


def _is_small(dtype: np.dtype[Any]) -> bool:
    """Whether it is one of `ml_dtypes`' (`bfloat16`, `float8_e4m3fn`, `int4`)."""
    names = ("bfloat", "float", "int", "uint")
    return dtype.kind == "V" and dtype.fields is None and dtype.name.startswith(names)
