"""Fewer digits: tensors rounded, operations carried out in half precision, integers for weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from parity.diagnose.view import View
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node

__all__ = [
    "PRODUCTS",
    "Rounding",
    "in_half",
    "is_float_node",
    "quantised",
    "round_result",
    "rounded",
    "tf32",
]

Tensor = torch.Tensor
Rounding = Callable[[Tensor], Tensor]

# Operations that multiply and add up.
PRODUCTS = frozenset({
    "linear", "matmul", "bmm", "mm", "addmm", "baddbmm", "einsum", "conv1d", "conv2d", "conv3d",
    "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "scaled_dot_product_attention",
})  # fmt: skip


def is_float_node(view: View, node: Node) -> bool:
    """Whether all that an operation makes is of floating point."""
    made = (*node.outputs, *node.written)
    return bool(made) and all(view.is_float(value) for value in made)


def rounded(tensor: Tensor, *, dtype: torch.dtype) -> Tensor:
    """A tensor with the digits that a type has, in its own type."""
    return tensor.to(dtype).to(tensor.dtype) if tensor.is_floating_point() else tensor


def _each(value: Any, change: Rounding) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple | list):
        return type(value)(_each(one, change) for one in value)
    return value


def round_result(node: Node, rounding: Rounding) -> Edit:
    """The change that rounds what an operation makes."""
    return Edit(node.index, lambda operands: _each(operands.default(), rounding))


def in_half(node: Node, dtype: torch.dtype) -> Edit:
    """An operation on operands of a type; with the result rounded if torch has no such kernel."""

    def apply(operands: Operands) -> Any:
        narrow = partial(_narrowed, dtype=dtype)
        args, kwargs = _deep(operands.args, narrow, dtype), _deep(operands.kwargs, narrow, dtype)
        wide = _first_dtype(operands)
        try:
            result = node.function(*args, **kwargs)
        except RuntimeError:
            return _each(operands.default(), partial(rounded, dtype=dtype))
        return _each(result, lambda t: t.to(wide) if t.is_floating_point() else t)

    return Edit(node.index, apply)


def _narrowed(tensor: Tensor, *, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _deep(value: Any, change: Rounding, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if value is torch.float32:  # an operation that was asked to widen its operand
        return dtype
    if isinstance(value, dict):
        return {key: _deep(item, change, dtype) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_deep(item, change, dtype) for item in value)
    return value


def _first_dtype(operands: Operands) -> torch.dtype:
    tensors = [t for t in (*operands.args, *operands.kwargs.values()) if isinstance(t, Tensor)]
    return next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)


def tf32(tensor: Tensor) -> Tensor:
    """Ten bits of mantissa, to the nearest."""
    if tensor.dtype is not torch.float32:
        return tensor
    bits = tensor.contiguous().view(torch.int32)
    rounded = (bits + 0x0FFF + ((bits >> 13) & 1)) & ~0x1FFF
    return rounded.view(torch.float32)


def quantised(tensor: Tensor, *, top: int, block: int | None) -> Tensor:
    """Symmetric integers up to `top` with one scale a row, block of a row, or tensor (0)."""
    flat = tensor.reshape(tensor.shape[0], -1)
    if block == 0:
        flat = flat.reshape(1, -1)
    elif block is not None:
        if flat.shape[-1] % block:
            raise ValueError("rows do not divide into blocks")
        flat = flat.reshape(-1, block)
    scale = flat.abs().amax(-1, keepdim=True) / top
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return ((flat / scale).round().clamp(-top, top) * scale).reshape(tensor.shape)
