"""Values of a MIL program as torch tensors, and back as the arrays that the program declares."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from parity.errors import InputError

__all__ = ["Array", "declared_dtype", "in_declared_type", "to_array", "to_value"]

Array = np.ndarray[Any, np.dtype[Any]]

_WIDER = {torch.float16: torch.float32, torch.float64: torch.float32}
# Narrow integers are kept in one type: torch has no arithmetic for some of them.
_INTEGERS = (torch.int8, torch.int16, torch.int64, torch.uint8, torch.uint16, torch.uint32)


def to_value(given: Any) -> Any:
    """A constant or input as the evaluator computes with it: float32, int32 or bool tensors.

    Strings, None and lists of values stay what they are.
    """
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, torch.Tensor):
        return _widened(given)
    if isinstance(given, list | tuple):
        return [to_value(each) for each in given]
    array = np.asarray(given)
    if array.dtype.kind in "US":
        return str(array)
    return _widened(torch.from_numpy(np.array(array, order="C")))


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.dtype in _INTEGERS:
        return tensor.to(torch.int32)
    return tensor.to(_WIDER.get(tensor.dtype, tensor.dtype))


def declared_dtype(variable: Any) -> np.dtype[Any]:
    """The element type that the program gives a variable."""
    from coremltools.converters.mil.mil import types  # noqa: PLC0415 - seconds to load

    dtype: np.dtype[Any] = np.dtype(types.nptype_from_builtin(variable.dtype))
    return dtype


def in_declared_type(name: str, variable: Any, given: Array) -> Array:
    """An input in the type that the program takes, if that changes no number.

    torch's indices are int64, and a program's int32; a program may take float16 where torch takes
    float32. Other floats are not cast: the module that the program comes from would not take them.

    Raises:
        InputError: it is of another type.
    """
    declared = declared_dtype(variable)
    whole = given.dtype.kind in "iu" and declared.kind in "iu"
    narrower = whole or (given.dtype == np.float32 and declared == np.float16)
    if given.dtype == declared or given.dtype.kind == "b" or (narrower and _exact(given, declared)):
        return given.astype(declared, copy=False)
    raise InputError(
        f"the program takes {declared}, got {given.dtype}"
        + (" with numbers that it cannot hold" if narrower else ""),
        where=name,
        hint=f"save the array as {declared}"
        if whole or not narrower
        else f"round it: save x.astype({declared.name!r}).astype({given.dtype.name!r})",
    )


def _exact(given: Array, declared: np.dtype[Any]) -> bool:
    with np.errstate(over="ignore"):
        return np.array_equal(given.astype(declared).astype(given.dtype), given, equal_nan=True)


def to_array(value: torch.Tensor, dtype: np.dtype[Any]) -> Array:
    """The value in its declared type."""
    with np.errstate(over="ignore"):
        return value.detach().numpy().astype(dtype)
