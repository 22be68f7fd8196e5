"""Tensors of any array library that is loaded -> numpy arrays. Loads none itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

__all__ = ["UnrecordableError", "as_array", "tensor_types"]

Array = np.ndarray[Any, np.dtype[Any]]


class UnrecordableError(Exception):
    """A tensor that holds no plain dense numbers; the recorder notes it and goes on."""


def tensor_types() -> tuple[type, ...]:
    """The types that count as tensors now; torch's is among them once torch is loaded."""
    torch = sys.modules.get("torch")
    return (np.ndarray,) if torch is None else (torch.Tensor, np.ndarray)


def as_array(value: Any) -> Array:
    """The tensor as an array of the same shape, type and bits; it may share memory.

    Raises:
        UnrecordableError: its elements are not plain dense numbers.
    """
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise UnrecordableError(f"numpy array of {value.dtype}")
        return value
    return _torch_conversion()(value)


@cache
def _torch_conversion() -> Callable[[Any], Array]:
    from parity.capture.arrays import to_numpy  # noqa: PLC0415  torch is loaded if we get here

    return to_numpy
