"""Reading a capture."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from parity.errors import CaptureFileError, InputError
from parity.store.columns import Columns
from parity.store.dtypes import element_type
from parity.store.frame import to_frame
from parity.store.layout import FLOOR_PRECISIONS
from parity.store.meta import CaptureMeta
from parity.store.records import decoded_draws, decoded_records
from parity.store.snapshot import take_snapshot
from parity.store.tap_view import TapView
from parity.tensors import Case, NoiseDraw, TapKey, TapRecord

if TYPE_CHECKING:
    import pandas as pd

    from parity.notebook.plots import CapturePlots

__all__ = ["Capture", "open_capture"]

Array = np.ndarray[Any, np.dtype[Any]]


def open_capture(path: str | os.PathLike[str]) -> Capture:
    """Open a capture for reading, also while it is being written: then it is as of now.

    Raises:
        CaptureFileError: when the file is missing, not a capture, of another version or damaged.
    """
    return Capture(path)


class Capture:
    """One capture file: its records at once, its tensors when asked for.

    A context manager. Tensors come as views into the mapped file (`view`), as copies (`read`), or
    by name: `capture["flow_lm.out_norm"].output[3]`.

    Args:
        path: the file.

    Attributes:
        path: the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._snapshot = take_snapshot(self.path)
        self._image = self._snapshot.image

    @property
    def meta(self) -> CaptureMeta:
        """Facts of the run."""
        return self._snapshot.meta

    @property
    def complete(self) -> bool:
        """Whether the run came to its end; if not, this is what it had recorded by then."""
        return self._snapshot.complete

    @property
    def run_id(self) -> str:
        """Hexadecimal identity of the run, drawn at random."""
        return self._snapshot.run_id

    @property
    def case(self) -> Case | None:
        """The case that was run, without its noise; None where none was stated."""
        return self._snapshot.case

    @property
    def environment(self) -> dict[str, Any]:
        """What was stated of the environment, JSON values."""
        return self._snapshot.environment

    @property
    def modules(self) -> Mapping[str, int]:
        """Parameter elements by path of every module that can be called, run or not.

        Empty where the implementation stated none.
        """
        return self._snapshot.modules

    @property
    def floor_precisions(self) -> tuple[str, ...]:
        """The precisions that noise floors were measured for; `parity calibrate` does that."""
        return tuple(self._snapshot.floors)

    def floors(self, precision: str) -> Array:
        """The relative L2 error that rounding alone explains at each record.

        Args:
            precision: in which the port computes: `float64`, `float32`, `float16`, `bfloat16`.

        Returns:
            float64 `(n,)`, in execution order; NaN where it was not measured.

        Raises:
            InputError: there is no such precision.
        """
        if precision not in FLOOR_PRECISIONS:
            known = ", ".join(FLOOR_PRECISIONS)
            raise InputError(f"there is no precision {precision!r}", hint=f"one of {known}")
        found = self._snapshot.floors.get(precision)
        return np.full(len(self), np.nan) if found is None else found.floor

    def unstable(self, precision: str) -> Array:
        """Whether rounding alone changed an integer or truth value of a record, bool `(n,)`."""
        found = self._snapshot.floors.get(precision)
        return np.zeros(len(self), bool) if found is None else found.unstable

    def floor_facts(self, precision: str) -> Mapping[str, Any]:
        """With what the floors of a precision were measured; empty where they were not."""
        found = self._snapshot.floors.get(precision)
        return {} if found is None else found.facts

    @property
    def columns(self) -> Columns:
        """All records as columns."""
        return self._snapshot.columns

    @cached_property
    def records(self) -> tuple[TapRecord, ...]:
        """All records, in execution order."""
        return decoded_records(self.columns)

    @cached_property
    def noise(self) -> tuple[NoiseDraw, ...]:
        """The noise tape, in draw order."""
        snapshot = self._snapshot
        return decoded_draws(snapshot.draws, snapshot.draw_nbytes, self.columns, self._image)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The paths of all taps, in order of first appearance."""
        series = self.columns.series
        numbers = dict.fromkeys(self.columns.table["series"].tolist())
        return tuple(dict.fromkeys(series[number].path for number in numbers))

    @cached_property
    def phases(self) -> tuple[str, ...]:
        """The phases in which something was recorded, in order of first appearance."""
        codes = dict.fromkeys(self.columns.table["phase"].tolist())
        return tuple(self.columns.strings[code] for code in codes)

    @cached_property
    def _positions(self) -> dict[TapKey, int]:
        positions: dict[TapKey, int] = {}
        for position, record in enumerate(self.records):
            if positions.setdefault(record.key, position) != position:
                raise CaptureFileError(
                    f"{record.key} is recorded twice",
                    where=str(self.path),
                    hint="give each call of a tap a number of its own",
                )
        return positions

    def __len__(self) -> int:
        return len(self.columns)

    def __contains__(self, path: object) -> bool:
        return path in self.paths

    def __getitem__(self, path: str) -> TapView:
        """The tap at `path`.

        Raises:
            InputError: when nothing was recorded there; it names what is near.
        """
        if path not in self.paths:
            near = get_close_matches(path, self.paths, n=3)
            raise InputError(
                f"no tap {path!r} was recorded",
                where=str(self.path),
                hint=f"did you mean {', '.join(near)}?" if near else f"parity show {self.path}",
            )
        records = self.records
        return TapView(self, path, tuple(i for i, r in enumerate(records) if r.key.path == path))

    def position(self, which: int | TapKey | TapRecord) -> int:
        """The place of a record in execution order.

        Raises:
            InputError: when there is no such record.
        """
        if isinstance(which, int | np.integer):
            position = int(which)
        else:
            key = which.key if isinstance(which, TapRecord) else which
            position = self._positions.get(key, -1)
        if not 0 <= position < len(self):
            raise InputError(f"no record {which} in this capture", where=str(self.path))
        return position

    def view(self, which: int | TapKey | TapRecord) -> Array:
        """The tensor of a record as a read-only view into the file, of its shape and type.

        Raises:
            InputError: when there is no such record, or its tensor was not kept.
        """
        position = self.position(which)
        columns = self.columns
        offset = int(columns.offsets[position])
        if offset < 0:
            raise InputError(
                "only its statistics were recorded, not the tensor",
                where=f"{self.path}: {self.records[position].key}",
                hint="record it again with tier `tensor`",
            )
        info = columns.series[columns.table["series"][position]]
        data = self._image.slice(offset, info.nbytes)
        return data.view(element_type(info.dtype)).reshape(info.shape)

    def read(self, which: int | TapKey | TapRecord) -> Array:
        """The tensor of a record as an array of its own."""
        return self.view(which).copy()

    def slab(self) -> tuple[Array, Array, Array]:
        """All tensors at once, for kernels that run over thousands of them in one call.

        Returns:
            The bytes, read-only, shape `(size,)` uint8; the first byte of each record's tensor,
            shape `(n,)` int64, -1 where none was kept; and its size in bytes, shape `(n,)` int64.
        """
        return self._image.bytes, self.columns.offsets, self.columns.nbytes

    def release(self) -> None:
        """Let go of the memory behind the views; a view that is used again reads it again."""
        self._image.release()

    def index(self) -> pd.DataFrame:
        """The records as a table, one row each."""
        return to_frame(self.columns)

    def to_frame(self) -> pd.DataFrame:
        """The records as a table, one row each."""
        return self.index()

    @property
    def plot(self) -> CapturePlots:
        """`plot()` draws the size of the tensors along the run."""
        from parity.notebook.plots import CapturePlots  # noqa: PLC0415 - loads matplotlib

        return CapturePlots(self)

    def _repr_html_(self) -> str:
        from parity.notebook.captures import capture_html  # noqa: PLC0415 - it stands above

        return capture_html(self)

    def __iter__(self) -> Iterator[TapRecord]:
        return iter(self.records)

    def close(self) -> None:
        """Unmap the file; views that are still in use stay valid."""
        self._image.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "" if self.complete else ", incomplete"
        return f"<Capture {self.path}: {len(self)} records at {len(self.paths)} taps{state}>"
