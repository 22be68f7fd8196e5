"""The tensors of one tap: `capture["decoder.norm"].output[3]`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from parity.errors import InputError
from parity.tensors import TapRecord

if TYPE_CHECKING:
    import pandas as pd

    from parity.notebook.plots import SeriesPlots
    from parity.store.capture import Capture

__all__ = ["SeriesView", "TapView"]

Array = np.ndarray[Any, np.dtype[Any]]


class TapView:
    """What was recorded at one path.

    Its ports are attributes (`output`, `input`, `state`, `param`, `tap`) and items
    (`view["input.text_embeddings"]`).
    """

    def __init__(self, capture: Capture, path: str, positions: Sequence[int]) -> None:
        self._capture = capture
        self.path = path
        self._by_port: dict[str, list[int]] = {}
        for position in positions:
            self._by_port.setdefault(capture.records[position].key.port, []).append(position)

    @property
    def ports(self) -> tuple[str, ...]:
        """Role and slot of what was recorded, in order of first appearance."""
        return tuple(self._by_port)

    def __getitem__(self, port: str) -> SeriesView:
        """The calls of one port.

        Raises:
            InputError: when it was not recorded; it names those that were.
        """
        if port not in self._by_port:
            raise InputError(
                f"no {port!r} was recorded",
                where=self.path,
                hint=f"recorded were {', '.join(self.ports)}",
            )
        return SeriesView(self._capture, f"{self.path}:{port}", tuple(self._by_port[port]))

    def __getattr__(self, port: str) -> SeriesView:
        if port.startswith("_"):
            raise AttributeError(port)
        return self[port]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.ports]

    def to_frame(self) -> pd.DataFrame:
        """The records of all ports as a table, one row each, in execution order."""
        places = sorted(place for found in self._by_port.values() for place in found)
        return self._capture.to_frame().iloc[places].reset_index(drop=True)

    def _repr_html_(self) -> str:
        from parity.notebook.captures import tap_html  # noqa: PLC0415 - it stands above

        return tap_html(self)

    def __repr__(self) -> str:
        return f"<{self.path}: {', '.join(self.ports)}>"


class SeriesView:
    """The calls of one port, in execution order: a sequence of arrays."""

    def __init__(self, capture: Capture, name: str, positions: tuple[int, ...]) -> None:
        self._capture = capture
        self.name = name
        self._positions = positions

    @property
    def records(self) -> tuple[TapRecord, ...]:
        """The records, one a call."""
        return tuple(self._capture.records[position] for position in self._positions)

    @property
    def kept(self) -> bool:
        """Whether there is a call, and the tensor of the first one itself was kept."""
        return bool(self._positions) and bool(self._capture.columns.kept[self._positions[0]])

    @property
    def plot(self) -> SeriesPlots:
        """Pictures: `plot(call)` draws a tensor, `plot.beside(other)` lays another's beside it."""
        from parity.notebook.plots import SeriesPlots  # noqa: PLC0415 - loads matplotlib

        return SeriesPlots(self)

    def to_frame(self) -> pd.DataFrame:
        """The records as a table, one row a call."""
        return self._capture.to_frame().iloc[list(self._positions)].reset_index(drop=True)

    def _repr_html_(self) -> str:
        from parity.notebook.captures import series_html  # noqa: PLC0415 - it stands above

        return series_html(self)

    def phase(self, phase: str) -> SeriesView:
        """The calls of one phase only."""
        return self._where(lambda record: record.key.phase == phase)

    def step(self, step: int) -> SeriesView:
        """The calls of one autoregressive step only."""
        return self._where(lambda record: record.step == step)

    def _where(self, wanted: Any) -> SeriesView:
        records = self._capture.records
        kept = tuple(place for place in self._positions if wanted(records[place]))
        return SeriesView(self._capture, self.name, kept)

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, which: int) -> Array: ...
    @overload
    def __getitem__(self, which: slice) -> Array: ...
    def __getitem__(self, which: int | slice) -> Array:
        """One tensor, or several stacked along a new leading axis.

        Raises:
            IndexError: when there is no such call.
            InputError: when the tensors of a slice differ in shape or type.
        """
        if isinstance(which, slice):
            return self._stacked(self._positions[which])
        try:
            return self._capture.read(self._positions[which])
        except IndexError:
            raise IndexError(f"{self.name} has {len(self)} calls, not {which}") from None

    def _stacked(self, positions: Sequence[int]) -> Array:
        views = [self._capture.view(position) for position in positions]
        kinds = {(view.dtype.name, view.shape) for view in views}
        if len(kinds) != 1:
            raise InputError(
                f"{len(views)} calls of {len(kinds)} shapes and types do not stack",
                where=self.name,
                hint="take them one by one, or one phase: .phase(name)[:]",
            )
        return np.stack(views)

    def __iter__(self) -> Iterator[Array]:
        return (self._capture.read(position) for position in self._positions)

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self)} calls>"
