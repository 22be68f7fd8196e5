"""Sums of products that stay on this thread."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["dot"]

Array = np.ndarray[Any, np.dtype[Any]]

# OpenBLAS spreads longer vectors over threads, and waits for them: on busy cores that takes
# milliseconds where the sum takes microseconds.
MOST = 8192


def dot(left: Array, right: Array) -> float:
    """Sum of `left * right`, both of shape `(n,)` and one real type."""
    if left.size <= MOST:
        return float(np.dot(left, right))
    return sum(
        float(np.dot(left[i : i + MOST], right[i : i + MOST])) for i in range(0, left.size, MOST)
    )
