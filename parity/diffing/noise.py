"""Which noise floor each row is judged by: one that was measured, or one for its element type."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity.align import TensorView
from parity.diffing.near import near
from parity.diffing.rows import Row
from parity.diffing.source import FloorSource, TensorSource
from parity.tolerance import Rule, dtype_floor

__all__ = ["FloorUse", "RowFloors", "row_floors"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class FloorUse:
    """Where the noise floors of a comparison come from.

    Attributes:
        calibrated: how many rows were judged by a measured floor.
        derived: how many by one for their element type.
        precisions: what was measured for, as far as it was used.
        hint: the command that measures them; empty where there is nothing to measure.
    """

    calibrated: int = 0
    derived: int = 0
    precisions: tuple[str, ...] = ()
    hint: str = ""

    @property
    def source(self) -> str:
        """`calibrated`, `derived`, or `mixed`."""
        if not self.calibrated:
            return "derived"
        return "mixed" if self.derived else "calibrated"

    @property
    def words(self) -> str:
        """The same for people: `calibrated (float32)`."""
        if not self.calibrated:
            measure = f"; `{self.hint}` measures them" if self.hint else ""
            return f"derived from the element type{measure}"
        measured = f"calibrated ({', '.join(self.precisions)})"
        if not self.derived:
            return measured
        return f"{measured}, and for {self.derived:,} tensors derived from the element type"


@dataclass(frozen=True, slots=True, eq=False)
class RowFloors:
    """The noise floors of all rows.

    Attributes:
        floor: relative L2 errors that rounding explains, float64 `(n,)`; NaN where a side is
            absent.
        calibrated: where it was measured on the reference, bool `(n,)`.
        unstable: where rounding alone changed the reference's integers or truth values, bool
            `(n,)`.
        use: where they come from, in all.
    """

    floor: Array
    calibrated: Array
    unstable: Array
    use: FloorUse


def row_floors(rows: Sequence[Row], reference: TensorSource, rules: Sequence[Rule]) -> RowFloors:
    """The floor that each row is judged by.

    A floor that was measured on the reference, for the precision in which the candidate computes,
    goes before one for the element type. That precision is what the rule says, or else the
    coarser element type of the two.

    Args:
        rows: in their order.
        reference: the reference's tensors.
        rules: one a row.
    """
    derived, precisions = _derived(rows, rules)
    floor, calibrated, unstable = (
        derived.copy(),
        np.zeros(len(rows), bool),
        np.zeros(len(rows), bool),
    )
    used, hint = [], ""
    if isinstance(reference, FloorSource):
        hint = (
            f"parity calibrate {shlex.quote(near(reference.label))}"
            if reference.can_calibrate
            else ""
        )
        for precision in reference.floor_precisions:
            members = np.array([i for i, p in enumerate(precisions) if p == precision], np.int64)
            places = [_place(rows[i].left) for i in members.tolist()]
            measured = reference.floors(precision)[places]
            unstable[members] = reference.unstable(precision)[places]
            # What is exact in one element type and rounds in the other stays a finding.
            known = np.isfinite(measured) & (derived[members] > 0)
            floor[members[known]] = measured[known]
            calibrated[members[known]] = True
            used += [precision] if known.any() else []
    # Only tensors that were kept are judged by a floor.
    stored = np.array([row.stored for row in rows], bool)
    rounds, count = int((stored & (derived > 0)).sum()), int((stored & calibrated).sum())
    use = FloorUse(count, rounds - count, tuple(used), hint)
    return RowFloors(floor, calibrated, unstable, use)


def _place(where: int | TensorView) -> int:
    return where if isinstance(where, int) else where.position


def _derived(rows: Sequence[Row], rules: Sequence[Rule]) -> tuple[Array, list[str]]:
    """The relative error that rounding explains by element type, and the precision of each row.

    NaN, and no precision, where a side is absent.
    """
    cache: dict[tuple[str, str], tuple[float, str]] = {}
    floors, precisions = np.full(len(rows), math.nan), [""] * len(rows)
    for i, row in enumerate(rows):
        if row.reference is not None and row.candidate is not None:
            types = row.reference.spec.dtype, row.candidate.spec.dtype
            if types not in cache:
                # Between numbers that round and numbers that do not, nothing is due to rounding.
                mixed = min(dtype_floor(one) for one in types) == 0.0
                cache[types] = 0.0 if mixed else dtype_floor(*types), _coarser(*types)
            floors[i], precisions[i] = cache[types]
            precisions[i] = rules[i].precision or precisions[i]
    return floors, precisions


def _coarser(*types: str) -> str:
    """The element type with fewer digits; `float32` for exact ones, whose decisions it makes."""
    coarsest = max(types, key=dtype_floor)
    name = {"complex64": "float32", "complex128": "float64"}.get(coarsest, coarsest)
    return name if dtype_floor(name) else "float32"
