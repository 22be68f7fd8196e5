"""The candidate's tensors under the reference's names."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import torch

from parity.align import TensorView
from parity.diffing.rows import Row
from parity.diffing.source import TensorSource
from parity.tensors import TapKey

__all__ = ["Candidate", "to_torch"]

Array = np.ndarray[Any, np.dtype[Any]]


class Candidate:
    """What the candidate has for each tensor of the reference.

    A tensor that alignment put together from several of the candidate's (a prompt read token by
    token) comes as one. Tensors of another shape are kept apart: they say something about
    structure, and nothing about numbers.

    Attributes:
        rows: what stands beside what, by the reference's name.
        mismatched: names whose counterpart has another shape.
        missing: names without counterpart.
        extra: the candidate's own names without counterpart.
    """

    def __init__(self, rows: list[Row], source: TensorSource) -> None:
        self.source = source
        self.rows: dict[TapKey, list[Row]] = {}
        self.mismatched: dict[TapKey, Row] = {}
        self.missing: set[TapKey] = set()
        self.extra: list[Row] = []
        for row in rows:
            if row.reference is None:
                self.extra.append(row)
            elif row.candidate is None:
                self.missing.add(row.reference.key)
            elif not row.same_shape:
                self.mismatched[row.reference.key] = row
            elif row.stored:
                self.rows.setdefault(row.reference.key, []).append(row)
        for key in self.missing & self.rows.keys():
            # Only a part of it has a counterpart.
            del self.rows[key]

    def __contains__(self, key: TapKey) -> bool:
        return key in self.rows

    def tensor(self, key: TapKey) -> torch.Tensor:
        """The candidate's counterpart of a tensor of the reference, in the reference's shape."""
        rows = self.rows[key]
        if len(rows) == 1 and isinstance(rows[0].left, int):
            return to_torch(self._right(rows[0]))
        first = rows[0].reference
        assert first is not None and rows[0].candidate is not None  # noqa: S101, PT018
        whole = np.zeros(first.spec.shape, _dtype(rows[0].candidate.spec.dtype))
        for row in rows:
            part = self._right(row)
            if isinstance(row.left, TensorView):
                place = row.left.apply(whole)
                place[...] = part.reshape(place.shape)
            else:
                whole[...] = part.reshape(whole.shape)
        return to_torch(whole)

    def at(self, position: int) -> torch.Tensor:
        """The candidate's tensor at a position among its records."""
        return to_torch(self.source.view(position))

    def alone(self, row: Row) -> torch.Tensor:
        """The candidate's tensor of a row without counterpart, or with one of another shape."""
        return to_torch(self._right(row))

    def _right(self, row: Row) -> Array:
        if isinstance(row.right, TensorView):
            return row.right.apply(self.source.view(row.right.position))
        return self.source.view(row.right)


def _dtype(name: str) -> Any:
    return getattr(ml_dtypes, name) if hasattr(ml_dtypes, name) else np.dtype(name)


def to_torch(array: Array) -> torch.Tensor:
    """A tensor of its own with the array's shape and bits; types unknown to torch as float32."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    if array.dtype.kind not in "biufc":
        array = array.astype(np.float32)
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    return torch.from_numpy(np.array(array, order="C"))
