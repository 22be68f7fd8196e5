"""What rounding explains of the difference between an operation and torch's."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import torch

from parity_coreml.errors_of import relative_error
from parity_coreml.exported import Exported, Node
from parity_coreml.mil import Evaluator

__all__ = ["UNIT", "coarse_values", "floors_of", "halved"]

UNIT = {"float16": 2.0**-11, "float32": 2.0**-24}


def coarse_values(evaluator: Evaluator, halves: Collection[str], put: Collection[str]) -> set[str]:
    """Values in float16, and those that a float16 value goes into: a state, or through a cast."""
    found = set(halves)
    for operation in evaluator.operations:
        given = {each.name for each in operation.get_flattened_inputs() if each is not None}
        if operation.op_type != "const" and any(
            name in halves or (name in found and name not in put) for name in given
        ):
            found.update(variable.name for variable in operation.outputs)
    return found


def floors_of(
    exported: Exported, node: Node, ours: Mapping[str, Any], *, half: bool, coarse: bool
) -> tuple[float, float]:
    """What rounding makes of one operation: torch's own, and that of the declared precision.

    A unit at least, of float16 where torch's own is that, and in float32 both the same. Coarse is
    what is float16 itself or takes what is.
    """
    exact = exported.rerun(node.name, ours, torch.float64)
    unit = UNIT["float16" if coarse else "float32"]
    if not isinstance(exact, torch.Tensor) or not exact.is_floating_point():
        return UNIT["float32"], unit
    own = UNIT["float16" if ours[node.name].dtype == torch.float16 else "float32"]
    floor = max(own, relative_error(ours[node.name], exact.float()))
    if not coarse:
        return floor, floor
    everything = exported.rerun(node.name, halved(ours, set(ours)), torch.float64)
    made = everything.half().float() if half else everything.float()
    rounding = relative_error(made, exact.float())
    # What float16 cannot hold explains nothing.
    return floor, max(unit, rounding) if math.isfinite(rounding) else unit


def halved(ours: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Those of the values that are named in float16, the others as they are."""
    return {
        name: value.half() if name in names and _is_float(value) else value
        for name, value in ours.items()
    }


def _is_float(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()
