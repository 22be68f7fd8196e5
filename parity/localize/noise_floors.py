"""The noise floors of one run: what calibration finds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.errors import InputError
from parity.tensors import TapKey, TapRecord

if TYPE_CHECKING:
    import pandas as pd

    from parity.notebook.plots import FloorPlots

__all__ = ["Floors"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Floors:
    """How far rounding alone takes a port from the reference, tap by tap.

    Attributes:
        keys: the taps, in the reference's order.
        values: for each precision of a port, the relative L2 error that rounding explains; NaN
            where it is not known; float64 `(len(keys),)`.
        unstable: for each precision, where integers or truth values came out differently in one
            of the runs; bool `(len(keys),)`.
        errors: by precision, then by run (`as recorded`, `2 threads`, ...), the error of that run
            against float64; float64 `(len(keys),)`.
        flips: for each precision, the operations whose integers or truth values flipped.
        facts: with what it was measured.
    """

    keys: tuple[TapKey, ...]
    values: Mapping[str, Array]
    unstable: Mapping[str, Array]
    errors: Mapping[str, Mapping[str, Array]] = field(default_factory=dict)
    flips: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that were measured."""
        return tuple(self.values)

    def __len__(self) -> int:
        return len(self.keys)

    def of(self, key: TapKey, precision: str | None = None) -> float:
        """The floor of one tap; of the first precision by default.

        Raises:
            InputError: there is no such tap, or that precision was not measured.
        """
        name = self._known(precision)
        if key not in self.keys:
            raise InputError(f"no tap {key} was measured")
        return float(self.values[name][self.keys.index(key)])

    def for_records(self, records: Sequence[TapRecord], precision: str) -> tuple[Array, Array]:
        """Floors and instability by record: float64 and bool `(len(records),)`, NaN where unknown.

        Records of states, parameters and operations have none.
        """
        name = self._known(precision)
        places = {key: place for place, key in enumerate(self.keys)}
        rows = np.array([places.get(record.key, -1) for record in records], np.int64)
        floors = np.append(self.values[name], math.nan)[rows]
        return floors, np.append(self.unstable[name], False)[rows]

    def worst(
        self, count: int = 10, precision: str | None = None
    ) -> tuple[tuple[TapKey, float], ...]:
        """The taps with the largest floors, of each path and port only the largest."""
        values = self.values[self._known(precision)]
        found: dict[tuple[str, str], tuple[TapKey, float]] = {}
        for place in np.argsort(-np.nan_to_num(values, nan=-1.0), kind="stable").tolist():
            key = self.keys[place]
            if len(found) == count or math.isnan(values[place]):
                break
            found.setdefault((key.path, key.port), (key, float(values[place])))
        return tuple(found.values())

    def to_frame(self) -> pd.DataFrame:
        """One row a tap and precision: its floor, and the error of each run."""
        import pandas as pd  # noqa: PLC0415 - slow to load, and only tables need it

        names = {
            "path": [key.path for key in self.keys],
            "port": [key.port for key in self.keys],
            "phase": [key.phase for key in self.keys],
            "call": [key.call for key in self.keys],
        }
        parts = [
            pd.DataFrame(
                {
                    **names,
                    "precision": precision,
                    "floor": floor,
                    "unstable": self.unstable[precision],
                    **self.errors.get(precision, {}),
                }
            )
            for precision, floor in self.values.items()
        ]
        return pd.concat(parts, ignore_index=True)

    @property
    def plot(self) -> FloorPlots:
        """`plot()` draws the floors in execution order."""
        from parity.notebook.plots import FloorPlots  # noqa: PLC0415 - matplotlib is slow to load

        return FloorPlots(self)

    def _repr_html_(self) -> str:
        from parity.notebook.results import floors_html  # noqa: PLC0415 - it stands above

        return floors_html(self)

    def _known(self, precision: str | None) -> str:
        name = precision or next(iter(self.values))
        if name not in self.values:
            measured = ", ".join(self.values)
            raise InputError(
                f"no floors were measured for {name}", hint=f"measured are: {measured}"
            )
        return name
