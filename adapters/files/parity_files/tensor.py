"""A tensor in a file, known by its header and not yet read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity.errors import InputError
from parity.tensors import TensorSpec

__all__ = ["Array", "StoredTensor", "broken", "check_kind"]

Array = np.ndarray[Any, np.dtype[Any]]

_KINDS = frozenset("biufcV")


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensor:
    """One tensor of a file.

    Attributes:
        name: its name inside the file; empty where the file holds one tensor only.
        spec: its type and shape.
        nbytes: how much memory it takes.
        read: reads it; the array may be mapped and read-only.
    """

    name: str
    spec: TensorSpec
    nbytes: int
    read: Callable[[], Array]


def broken(where: str, why: object) -> InputError:
    """The error for a file that does not hold what its header says."""
    return InputError(f"damaged or not what its name says: {why}", where=where, hint="dump it anew")


def check_kind(dtype: np.dtype[Any], where: str) -> None:
    """Refuse element types that are no numbers; raw bytes pass, for a `view` rule to name."""
    if dtype.kind not in _KINDS or dtype.names is not None:
        raise InputError(
            f"its element type {dtype} is not numeric",
            where=where,
            hint="dump plain arrays of numbers; pickled objects are never loaded",
        )
