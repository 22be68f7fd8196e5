"""Pictures of where errors enter, and of noise floors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parity.localize.localization import Localization, Origin
from parity.localize.noise_floors import Floors
from parity.notebook.plots.canvas import BAD, EXACT, GOOD, GREY, WARN, canvas, label, on_log_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FloorPlots", "LocalizationPlots"]

_LOOKS = {
    Origin.NONE: (GOOD, 8, "does not differ"),
    Origin.INHERITED: (WARN, 12, "inherited"),
    Origin.UNCERTAIN: (GREY, 12, "uncertain"),
    Origin.ORIGIN: (BAD, 36, "origin: enters here"),
}


@dataclass(frozen=True, slots=True)
class LocalizationPlots:
    """`localization.plot`: call it for every tensor's error, coloured by where it comes from.

    Attributes:
        localization: what is drawn.
    """

    localization: Localization

    def __call__(self, axes: Axes | None = None) -> Axes:
        """Error against the reference's own run, in execution order: origin or inherited."""
        return self._cloud("error", "relative error", axes)

    def local(self, axes: Axes | None = None) -> Axes:
        """The error that each tensor adds to that of its inputs, in execution order."""
        return self._cloud("local", "local error", axes)

    def shares(self, axes: Axes | None = None) -> Axes:
        """How much of the output's squared error had entered by each tap that was spliced."""
        known = {
            tap.key.path: tap.share for tap in self.localization.origins if np.isfinite(tap.share)
        }
        axes = axes if axes is not None else canvas(size=(8, 1.0 + 0.35 * max(len(known), 1)))[0]
        bars = axes.barh(range(len(known)), [100 * share for share in known.values()], color=BAD)
        axes.bar_label(bars, fmt="%.0f %%", padding=4, fontsize="small")
        axes.set_yticks(range(len(known)), [label(path) for path in known])
        axes.invert_yaxis()
        output = label(self.localization.output) or "the output"
        axes.set(xlabel=f"% of the squared error at {output} that has entered by then")
        axes.margins(x=0.15)
        axes.spines[["top", "right"]].set_visible(False)
        return axes

    def _cloud(self, which: str, title: str, axes: Axes | None) -> Axes:
        axes = axes if axes is not None else canvas()[0]
        taps = self.localization.taps
        drawn = on_log_axis(np.array([getattr(tap, which) for tap in taps], float))
        for origin, (colour, size, name) in _LOOKS.items():
            x = np.flatnonzero([tap.origin is origin for tap in taps])
            if x.size:
                axes.scatter(x, drawn[x], s=size, color=colour, label=f"{name} ({x.size:,})")
        first = self.localization.first
        if first is not None:
            x0 = taps.index(first)
            axes.annotate(
                label(first.key.path), (x0, drawn[x0]), xytext=(-4, 12), textcoords="offset points",
                color=BAD, fontsize="small",
            )  # fmt: skip
        axes.set(yscale="log", ylabel=title, xlabel="tensor, in the reference's execution order")
        axes.set_ylim(EXACT / 2, max(1.0, float(drawn.max(initial=0.0))) * 30)
        axes.grid(axis="y", alpha=0.25)
        axes.legend(loc="upper left", fontsize="small", ncols=4, frameon=False)
        return axes


@dataclass(frozen=True, slots=True)
class FloorPlots:
    """`floors.plot`: call it for every tensor's noise floor, one colour a precision.

    Attributes:
        floors: what is drawn.
    """

    floors: Floors

    def __call__(self, axes: Axes | None = None) -> Axes:
        """The error that rounding explains, in execution order."""
        axes = axes if axes is not None else canvas()[0]
        for name, values in self.floors.values.items():
            axes.plot(values, ".", markersize=4, label=name)
        axes.set(
            yscale="log", ylabel="relative error that\nrounding explains",
            xlabel="tensor, in the reference's execution order",
        )  # fmt: skip
        axes.grid(axis="y", alpha=0.25)
        axes.margins(y=0.15)
        axes.legend(fontsize="small", frameon=False, ncols=4, loc="upper left")
        return axes
