"""Evaluates the MIL operations that a transformer layer is made of, with torch, in float32.

Not a Core ML runtime: it computes what the operations of a converted program say, so that a fault
of the converter can be seen where Core ML does not run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - its usual name

__all__ = ["evaluate"]

Values = Mapping[str, Any]
_GELU = {"EXACT": "none", "TANH_APPROXIMATION": "tanh"}


def evaluate(function: Any, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Every value of a function of a MIL program, by name.

    Args:
        function: `program.functions["main"]`.
        inputs: by name.

    Raises:
        NotImplementedError: an operation that is not known here, by name.
    """
    values: dict[str, Any] = dict(inputs)
    for operation in function.operations:
        kind = operation.op_type
        if kind == "const":
            values[operation.outputs[0].name] = _constant(operation.outputs[0].val)
            continue
        if kind not in _OPERATIONS:
            raise NotImplementedError(f"the MIL operation {kind} ({operation.name})")
        given = {name: _looked_up(values, var) for name, var in operation.inputs.items()}
        made = _OPERATIONS[kind](given)
        outputs = made if isinstance(made, tuple) else (made,)
        for var, value in zip(operation.outputs, outputs, strict=True):
            assert tuple(var.shape) == tuple(value.shape), f"{var.name} has another shape"
            values[var.name] = value
    return {name: value for name, value in values.items() if isinstance(value, torch.Tensor)}


def _constant(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fb":
        return torch.from_numpy(np.array(value))
    return value


def _looked_up(values: Values, var: Any) -> Any:
    if isinstance(var, list | tuple):
        return [values[each.name] for each in var]
    return None if var is None else values[var.name]


def _numbers(value: Any) -> list[int]:
    return [int(each) for each in np.ravel(value)]


def _layer_norm(given: Values) -> torch.Tensor:
    x, axes = given["x"], _numbers(given["axes"])
    assert axes in ([-1], [x.ndim - 1]), "only over the last axis"
    return F.layer_norm(
        x, x.shape[-1:], given["gamma"], given["beta"], float(given["epsilon"])
    )  # fmt: skip


def _slice(given: Values) -> torch.Tensor:
    x = given["x"]
    nothing = [False] * x.ndim
    first, last, squeezed = (
        [bool(each) for each in np.ravel(given.get(name, nothing))]
        for name in ("begin_mask", "end_mask", "squeeze_mask")
    )
    assert "stride" not in given, "only steps of one"
    index: list[slice | int] = []
    for axis, (begin, end) in enumerate(
        zip(_numbers(given["begin"]), _numbers(given["end"]), strict=True)
    ):
        if squeezed[axis]:
            index.append(begin)
        else:
            index.append(slice(None if first[axis] else begin, None if last[axis] else end))
    return x[tuple(index)]


def _attention(given: Values) -> torch.Tensor:
    return F.scaled_dot_product_attention(
        given["query"], given["key"], given["value"], given["attn_mask"]
    )


_OPERATIONS: Mapping[str, Callable[[Values], Any]] = {
    "add": lambda given: given["x"] + given["y"],
    "gelu": lambda given: F.gelu(given["x"], approximate=_GELU[str(given["mode"])]),
    "layer_norm": _layer_norm,
    "linear": lambda given: F.linear(given["x"], given["weight"], given["bias"]),
    "mul": lambda given: given["x"] * given["y"],
    "reshape": lambda given: given["x"].reshape(_numbers(given["shape"])),
    "scaled_dot_product_attention": _attention,
    "slice_by_index": _slice,
    "split": lambda given: given["x"].split(_numbers(given["split_sizes"]), int(given["axis"])),
    "squeeze": lambda given: given["x"].squeeze(tuple(_numbers(given["axes"]))),
    "stack": lambda given: torch.stack(given["values"], int(given["axis"])),
    "sub": lambda given: given["x"] - given["y"],
    "transpose": lambda given: given["x"].permute(_numbers(given["perm"])),
}
