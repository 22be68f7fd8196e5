"""What the rounding of a program's own constants may do to each of its values.

A converter folds and rounds: the weight of a convolution with its batch norm, `n / (n - 1)`; who
compresses a package rounds weights to few numbers. Torch has no such number to compare with, so
every constant is moved by as much as rounding may have moved it, up or down by chance, and the
program run again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from parity_coreml.mil import Evaluator
from parity_coreml.mil.values import Array

__all__ = ["moved_constants"]


def moved_constants(evaluator: Evaluator) -> dict[str, dict[str, torch.Tensor]]:
    """By operation and argument, its rounded constants off by half the distance to the next."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    for operation in _all(evaluator.operations):
        for argument, variable in operation.inputs.items():
            rounded = _rounded(variable)
            if rounded is not None:
                found.setdefault(operation.name, {})[argument] = _moved(*rounded, len(found))
    return found


def _all(operations: Iterable[Any]) -> Iterator[Any]:
    """Those that compute something, with what stands in their blocks."""
    for operation in operations:
        if operation.op_type != "const" and not operation.op_type.startswith("constexpr_"):
            yield operation
        for block in operation.blocks:
            yield from _all(block.operations)


def _rounded(variable: Any) -> tuple[Array, Array] | None:
    """A constant that was rounded, and how far its elements are from the next."""
    made_by = getattr(variable, "op", None)
    if made_by is not None and made_by.op_type in _SPACINGS:
        array = np.asarray(made_by.materialized_val_inference(), np.float32)
        return array, _SPACINGS[made_by.op_type](made_by, array)
    value = getattr(variable, "val", None)
    if getattr(value, "dtype", None) != np.float16:
        return None
    half = np.asarray(value)
    with np.errstate(invalid="ignore"):
        return half.astype(np.float32), np.spacing(np.abs(half)).astype(np.float32)


def _moved(array: Array, spacing: Array, seed: int) -> torch.Tensor:
    sign = np.random.default_rng(seed).choice((-0.5, 0.5), array.shape).astype(np.float32)
    return torch.from_numpy(np.asarray(array + np.nan_to_num(spacing * sign), np.float32))


def _blockwise(operation: Any, array: Array) -> Array:
    return _spread(np.asarray(operation.scale.val, np.float32), array.shape)


def _affine(operation: Any, array: Array) -> Array:
    scale = np.asarray(operation.scale.val, np.float32)
    if scale.ndim:
        axis = int(operation.axis.val) % array.ndim
        scale = scale.reshape([-1 if each == axis else 1 for each in range(array.ndim)])
    return np.broadcast_to(scale, array.shape)


def _table(operation: Any, array: Array) -> Array:
    """From each entry to the farther of its neighbours in the same table."""
    lut = np.asarray(operation.lut.val, np.float32)
    if lut.ndim < array.ndim:
        return _farther(lut.ravel(), array)
    # [one table for each block along each axis..., entries, 1]
    sizes = [whole // blocks for whole, blocks in zip(array.shape, lut.shape, strict=False)]
    spacing = np.empty_like(array)
    for place in np.ndindex(*lut.shape[: array.ndim]):
        block = tuple(
            slice(at * size, (at + 1) * size) for at, size in zip(place, sizes, strict=True)
        )
        spacing[block] = _farther(lut[place].ravel(), array[block])
    return spacing


def _farther(entries: Array, array: Array) -> Array:
    entries = np.unique(entries)
    if entries.size < 2:
        return np.zeros_like(array)
    gaps = np.diff(entries)
    widest = np.maximum(np.append(gaps, gaps[-1]), np.append(gaps[0], gaps))
    return np.asarray(widest[np.searchsorted(entries, array).clip(0, entries.size - 1)])


def _sparse(operation: Any, array: Array) -> Array:  # noqa: ARG001
    """What was left out may have been as large as the smallest that was kept."""
    kept = np.abs(array[array != 0])
    return np.where(array == 0, 2 * kept.min(initial=np.inf) if kept.size else 0, 0).astype(
        np.float32
    )


def _spread(small: Array, shape: tuple[int, ...]) -> Array:
    """One number for each block -> one for each element."""
    for axis, (blocks, whole) in enumerate(zip(small.shape, shape, strict=True)):
        small = np.repeat(small, whole // blocks, axis)
    return small


_SPACINGS = {
    "constexpr_affine_dequantize": _affine,
    "constexpr_blockwise_shift_scale": _blockwise,
    "constexpr_lut_to_dense": _table,
    "constexpr_sparse_to_dense": _sparse,
}
