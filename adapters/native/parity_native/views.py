"""Tensors across the boundary: what a candidate hands over as an array, and arrays as inputs."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np

from parity.errors import BackendError
from parity_native.abi import CODES, DTYPES, MAX_NAME_BYTES, MAX_RANK, Tensor

__all__ = ["Lent", "array_of", "text_at"]

Array = np.ndarray[Any, np.dtype[Any]]

_MOST_ELEMENTS = 2**58  # of 16 bytes each: the largest array that numpy can describe


def text_at(address: int | None, what: str) -> str:
    """The text at an address, empty where the address is NULL.

    Raises:
        BackendError: it does not end within 4096 bytes, or is not UTF-8.
    """
    if not address:
        return ""
    raw = ctypes.string_at(address)
    if len(raw) > MAX_NAME_BYTES:
        raise _broken(f"{what} does not end within {MAX_NAME_BYTES} bytes", "a tap")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _broken(f"{what} is not UTF-8: {raw[:40]!r}", "a tap") from error


def array_of(tensor: Tensor, name: str, max_bytes: int) -> Array:
    """A view of what the candidate owns, of any shape, good as long as its tensor is.

    Raises:
        BackendError: type, shape, strides, address or elements cannot be those of a tensor.
    """
    array = _view(tensor, name, max_bytes)
    # numpy compares truths as bytes: a 255 that is meant to be true would differ from a 1.
    if array.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
        raise _broken("a bool that is neither 0 nor 1", name)
    return array


def _view(tensor: Tensor, name: str, max_bytes: int) -> Array:
    dtype = DTYPES.get(tensor.dtype)
    if dtype is None:
        raise _broken(f"unknown element type {tensor.dtype}", name)
    shape = _extents(tensor, name)
    if math.prod(shape) * dtype.itemsize > max_bytes:
        raise _broken(f"the shape {list(shape)} makes more than {max_bytes} bytes", name)
    if 0 in shape:
        # numpy has no array of such a shape, even where there is nothing in it.
        if math.prod(filter(None, shape)) > _MOST_ELEMENTS:
            raise _broken(f"the shape {list(shape)} is larger than any memory", name)
        return np.empty(shape, dtype)
    if not tensor.data:
        raise _broken(f"no data (NULL) for the shape {list(shape)}", name)
    if not tensor.strides:
        return np.ndarray(shape, dtype, _memory(tensor.data, math.prod(shape) * dtype.itemsize))
    return _strided(tensor, shape, dtype, name, max_bytes)


def _extents(tensor: Tensor, name: str) -> tuple[int, ...]:
    if tensor.rank > MAX_RANK:
        raise _broken(f"{tensor.rank} axes; at most {MAX_RANK} are possible", name)
    if tensor.rank and not tensor.shape:
        raise _broken(f"no shape (NULL) for {tensor.rank} axes", name)
    shape = _integers(tensor.shape, tensor.rank)
    if any(extent < 0 for extent in shape):
        raise _broken(f"the shape {list(shape)} has an extent below zero", name)
    return shape


def _strided(
    tensor: Tensor, shape: tuple[int, ...], dtype: np.dtype[Any], name: str, max_bytes: int
) -> Array:
    steps = _integers(tensor.strides, tensor.rank)
    # Nobody steps along an axis of one element: what stands there may be any number.
    strides = tuple(
        step * dtype.itemsize if extent > 1 else 0
        for step, extent in zip(steps, shape, strict=True)
    )
    reach = [step * (extent - 1) for step, extent in zip(strides, shape, strict=True)]
    below, above = sum(min(r, 0) for r in reach), sum(max(r, 0) for r in reach)
    if above - below + dtype.itemsize > max_bytes:
        raise _broken(f"the strides reach over more than {max_bytes} bytes", name)
    memory = _memory(tensor.data + below, above - below + dtype.itemsize)
    return np.ndarray(shape, dtype, memory, offset=-below, strides=strides)


def _memory(address: int, count: int) -> Any:
    return (ctypes.c_char * count).from_address(address)


def _integers(address: int | None, count: int) -> tuple[int, ...]:
    return tuple((ctypes.c_int64 * count).from_address(address)) if count and address else ()


def _broken(what: str, name: str) -> BackendError:
    return BackendError(
        f"the candidate handed over a broken tensor: {what}",
        where=name,
        hint="see parity_tensor in adapters/native/include/parity_candidate.h",
    )


class Lent:
    """An array as the candidate sees it. Keep it as long as the candidate may look."""

    def __init__(self, name: str, array: Array) -> None:
        """Lend `array`, of any shape, under a name.

        Raises:
            BackendError: the ABI has no such element type.
        """
        # In the machine's byte order, as the header says; a file may hold the other.
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        if array.dtype not in CODES:
            raise BackendError(f"{array.dtype} cannot be handed to a native candidate", where=name)
        # Where an element lies, a candidate's language may want it to lie by its size.
        self._array = np.require(array, requirements=["C", "A"])
        self._name = ctypes.create_string_buffer(name.encode())
        self._shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        self.tensor = Tensor(
            ctypes.addressof(self._name),
            CODES[array.dtype],
            array.ndim,
            ctypes.addressof(self._shape) if array.ndim else None,
            None,
            self._array.ctypes.data if array.size else None,
        )
