"""Pictures of a comparison: error along execution, over steps, and where it is worst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.diffing import DiffResult
from parity.errors import InputError
from parity.notebook.plots.canvas import BAD, EXACT, GOOD, canvas, label, on_log_axis
from parity.report.plots import plot_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DiffPlots"]

# More names than this on one axis cannot be read.
NAMED = 40
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class DiffPlots:
    """`result.plot`: call it for the error along execution, or one of its methods.

    Attributes:
        result: what is drawn.
    """

    result: DiffResult

    def __call__(self, axes: Axes | None = None) -> Axes:
        """Relative L2 error of every compared tensor in execution order, over the noise floor."""
        return plot_error(self.result, axes if axes is not None else canvas()[0])

    def heat(self, axes: Axes | None = None, *, phase: str | None = None) -> Axes:
        """The error as a map: a row a tap, in execution order, and a column a step or call.

        Where most tensors belong to steps, columns are steps, and what belongs to none is left out.

        Args:
            axes: where to draw.
            phase: which phase; by default the one with most tensors.

        Raises:
            InputError: nothing was compared in that phase.
        """
        rows = self._rows(phase)
        table = self.result.table
        stepped = bool((table.step[rows] >= 0).mean() > 0.5)
        rows = rows[table.step[rows] >= 0] if stepped else rows
        names = {name: i for i, name in enumerate(dict.fromkeys(self._name(row) for row in rows))}
        columns = [int(table.step[row]) if stepped else table.keys[row].call for row in rows]
        error = np.full((len(names), max(columns) + 1), np.nan)
        for row, column, value in zip(rows, columns, self._errors(rows), strict=True):
            place = names[self._name(row)], column
            error[place] = np.fmax(error[place], value)
        height = 1.2 + 0.17 * min(len(names), NAMED)
        axes = axes if axes is not None else canvas(size=(9, height))[0]
        shown = axes.imshow(np.log10(error), aspect="auto", cmap="magma", interpolation="nearest")
        axes.figure.colorbar(shown, ax=axes, label="log10 of the relative error")
        every = -(-len(names) // NAMED)
        axes.set_yticks(range(0, len(names), every), [label(n) for n in names][::every], fontsize=7)
        named = table.keys[int(rows[0])].phase
        axes.set(xlabel=f"{'step' if stepped else 'call'}{f' of {label(named)}' if named else ''}")
        return axes

    def worst(self, axes: Axes | None = None, *, count: int = 12) -> Axes:
        """The taps with the largest error, beside what rounding explains there."""
        rows = self._worst(count)
        axes = axes if axes is not None else canvas(size=(9, 0.9 + 0.27 * len(rows)))[0]
        table = self.result.table
        colours = [GOOD if table.ok[row] else BAD for row in rows]
        places = range(len(rows))
        axes.barh(places, self._errors(rows), left=EXACT, color=colours)
        axes.plot(table.floor[rows], places, "k|", markersize=12, label="noise floor")
        axes.set_yticks(places, [label(self._name(row)) for row in rows], fontsize=8)
        axes.invert_yaxis()
        axes.set(xscale="log", xlabel="relative error")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1, 1))
        return axes

    def _rows(self, phase: str | None) -> Array:
        table = self.result.table
        rows = np.flatnonzero(table.compared)
        phases = np.array([table.keys[row].phase for row in rows], dtype=object)
        if phase is None and rows.size:
            names, counts = np.unique(phases.astype(str), return_counts=True)
            phase = str(names[counts.argmax()])
        chosen: np.ndarray = rows[phases == phase]
        if not chosen.size:
            known = ", ".join(repr(str(name)) for name in dict.fromkeys(phases)) or "none"
            raise InputError(
                f"no tensor was compared in phase {phase!r}", hint=f"phases with tensors: {known}"
            )
        return chosen

    def _worst(self, count: int) -> list[int]:
        rows = np.flatnonzero(self.result.table.compared)
        ranked = rows[np.argsort(-self._errors(rows), kind="stable")].tolist()
        first = {self._name(row): row for row in reversed(ranked)}
        return sorted(first.values(), key=ranked.index)[:count]

    def _errors(self, rows: Any) -> Array:
        errors: Array = on_log_axis(self.result.table.metrics["rel_l2"][rows])
        return errors

    def _name(self, row: int) -> str:
        key = self.result.table.keys[row]
        return key.path if key.port in {"output", "tap"} else f"{key.path}:{key.port}"
