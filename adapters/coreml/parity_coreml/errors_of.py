"""How far one tensor is from another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from parity.metrics import metrics, pair_statistics

__all__ = ["nan_last", "relative_error"]


def relative_error(value: Any, reference: Any) -> float:
    """`|value - reference| / |reference|` in the Euclidean norm; NaN where NaN meets a number.

    Args:
        value: array or tensor of any shape.
        reference: of the same shape.
    """
    theirs, ours = _plain(value), _plain(reference)
    if theirs.shape != ours.shape:
        return float("nan")
    return float(metrics(pair_statistics(ours, theirs)).rel_l2)


def nan_last(error: float) -> tuple[bool, float]:
    """A key to sort errors by: NaN is worse than any number."""
    return math.isnan(error), error


def _plain(value: Any) -> np.ndarray[Any, np.dtype[Any]]:
    array = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    # Statistics want one type on both sides: a float16 is a float32 all the same.
    return np.ascontiguousarray(array, dtype=np.float32 if array.dtype.kind == "f" else np.float64)
