"""Between MLX arrays and numpy's."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import mlx.core as mx
import numpy as np

__all__ = ["Array", "taken", "to_mlx", "to_numpy"]

Array = np.ndarray[Any, np.dtype[Any]]


def to_numpy(array: mx.array) -> Array:
    """A copy of the array's values, of its shape and bits; computes them if need be."""
    if array.dtype == mx.bfloat16:  # numpy's buffers have no name for it
        return np.array(array.view(mx.uint16)).view(ml_dtypes.bfloat16)
    return np.array(array)


def taken(result: mx.array, *, moved: bool) -> Array:
    """The values of a result, its last axis behind the first one where it is to be `moved`."""
    array = to_numpy(result)
    return np.ascontiguousarray(np.moveaxis(array, -1, 1)) if moved else array


def to_mlx(array: Array) -> mx.array:
    """An MLX array of the same shape, type and bits. By itself MLX would make float64 narrower."""
    if array.dtype == ml_dtypes.bfloat16:
        return mx.array(array.view(np.uint16)).view(mx.bfloat16)
    return mx.array(array, mx.float64) if array.dtype == np.float64 else mx.array(array)
