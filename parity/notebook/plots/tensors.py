"""Pictures of what a capture holds: magnitudes along a run, a tensor, two tensors side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.errors import InputError
from parity.notebook.plots.canvas import GOOD, GREY, canvas, label
from parity.store import Capture, SeriesView

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CapturePlots", "SeriesPlots", "as_image"]

Array = np.ndarray[Any, np.dtype[Any]]
# A picture has no room for more elements along an axis.
WIDEST = 1024


@dataclass(frozen=True, slots=True)
class CapturePlots:
    """`capture.plot`: call it for the size of the tensors along the run.

    Attributes:
        capture: what is drawn.
    """

    capture: Capture

    def __call__(self, axes: Axes | None = None) -> Axes:
        """Standard deviation of every recorded output in execution order, and its extremes."""
        axes = axes if axes is not None else canvas()[0]
        table = self.capture.columns.table
        x = np.arange(len(table))
        widest = np.maximum(np.abs(table["min"]), np.abs(table["max"]))
        axes.plot(x, np.where(widest > 0, widest, np.nan), ".", ms=3, color=GREY, label="largest")
        std = np.where(table["std"] > 0, table["std"], np.nan)
        axes.plot(x, std, ".", ms=4, color=GOOD, label="standard deviation")
        axes.set(yscale="log", xlabel="record, in execution order", ylabel="size of the elements")
        axes.grid(axis="y", alpha=0.25)
        axes.legend(fontsize="small", frameon=False, ncols=2, loc="upper left")
        return axes


@dataclass(frozen=True, slots=True)
class SeriesPlots:
    """`capture["path"].output.plot`: call it for one tensor, or lay another's beside it.

    Attributes:
        series: the calls of one port.
    """

    series: SeriesView

    def __call__(self, call: int = 0, axes: Axes | None = None) -> Axes:
        """One tensor: as a curve where it has one long axis, else as an image.

        Leading axes are laid one below the other.
        """
        axes = axes if axes is not None else canvas(size=(9, 2.6))[0]
        image = as_image(self.series[call])
        _draw(axes, image, _reach(image))
        axes.set_title(f"{label(self.series.name)}, call {call}", fontsize="medium")
        return axes

    def beside(self, other: SeriesView, call: int = 0) -> list[Axes]:
        """Reference, candidate and their difference, the first two in one scale.

        Args:
            other: the candidate's calls of that port.
            call: which one of both.

        Raises:
            InputError: the two tensors differ in shape.
        """
        ours, theirs = self.series[call], other[call]
        if ours.shape != theirs.shape:
            raise InputError(
                f"shape {ours.shape} and shape {theirs.shape} have no difference",
                where=self.series.name,
                hint="parity.diff brings layouts together first",
            )
        one, two = as_image(ours), as_image(theirs)
        reach = _reach(np.concatenate([one, two]))
        figure = canvas(3, size=(11, 2.8))
        for axes, image, name in zip(figure, (one, two), ("reference", "candidate"), strict=False):
            _draw(axes, image, reach)
            axes.set_title(name, fontsize="medium")
        _draw(figure[2], two - one, _reach(two - one))
        figure[2].set_title("candidate − reference", fontsize="medium")
        return figure


def as_image(values: Array) -> Array:
    """`values` as float64 rows: the last axis across, all others down; at most 1024 each way."""
    flat = np.asarray(values, np.float64)
    flat = flat.reshape(-1, flat.shape[-1]) if flat.ndim > 1 else flat.reshape(1, -1)
    down, across = (-(-size // WIDEST) or 1 for size in flat.shape)
    return flat[::down, ::across]


def _reach(image: Array) -> float:
    finite = np.abs(image[np.isfinite(image)])
    return float(finite.max(initial=0.0)) or 1.0


def _draw(axes: Axes, image: Array, reach: float) -> None:
    if image.shape[0] == 1:
        axes.plot(image[0], color=GOOD, linewidth=1)
        axes.set(ylim=(-1.05 * reach, 1.05 * reach), xlabel="element")
        axes.grid(alpha=0.25)
        return
    shown = axes.imshow(
        image, aspect="auto", cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest"
    )
    axes.figure.colorbar(shown, ax=axes)
    axes.set(xlabel="last axis")
