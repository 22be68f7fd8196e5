"""What the rounding of a program's own constants to float16 may do to each of its values.

A converter folds and rounds: the weight of a convolution with its batch norm, `n / (n - 1)`. Torch
has no such number to compare with, so every constant is moved by as much as rounding may have moved
it, up or down by chance, and the program run again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from parity_coreml.mil import Evaluator

__all__ = ["moved_constants"]


def moved_constants(evaluator: Evaluator) -> dict[str, dict[str, torch.Tensor]]:
    """By operation and argument, its float16 constants off by half the distance to the next."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    for operation in evaluator.operations:
        for argument, variable in operation.inputs.items():
            array = getattr(variable, "val", None)
            if operation.op_type != "const" and getattr(array, "dtype", None) == np.float16:
                found.setdefault(operation.name, {})[argument] = _moved(array, len(found))
    return found


def _moved(array: Any, seed: int) -> torch.Tensor:
    half = np.asarray(array)
    sign = np.random.default_rng(seed).choice((-0.5, 0.5), half.shape)
    with np.errstate(invalid="ignore"):
        off = np.nan_to_num(np.spacing(np.abs(half)).astype(np.float32) * sign.astype(np.float32))
    return torch.from_numpy(np.asarray(half.astype(np.float32) + off, np.float32))
