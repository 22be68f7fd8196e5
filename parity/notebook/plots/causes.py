"""Pictures of a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parity.diagnose import Diagnosis
from parity.notebook.plots.canvas import BAD, GOOD, canvas, label
from parity.report.plots import plot_shares

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["DiagnosisPlots"]


@dataclass(frozen=True, slots=True)
class DiagnosisPlots:
    """`diagnosis.plot`: call it for the shares of the output's error, or one of its methods.

    Attributes:
        diagnosis: what is drawn.
    """

    diagnosis: Diagnosis

    def __call__(self, axes: Axes | None = None) -> Axes:
        """The share of the squared error at the output that each finding explains."""
        height = 1.2 + 0.4 * len(self.diagnosis.findings)
        return plot_shares(
            self.diagnosis, axes if axes is not None else canvas(size=(7, height))[0]
        )

    def proof(self, axes: Axes | None = None) -> Axes:
        """For each finding, the error where it shows first, without the change and with it."""
        findings = self.diagnosis.findings
        axes = axes if axes is not None else canvas(size=(8, 1.2 + 0.45 * len(findings)))[0]
        places = np.arange(len(findings))
        before, after = (
            [max(getattr(f.site, n), 1e-9) for f in findings] for n in ("error", "left")
        )
        axes.hlines(places, after, before, color="#c9ced6", linewidth=3, zorder=1)
        axes.scatter(before, places, color=BAD, s=55, label="reference as it is")
        axes.scatter(after, places, color=GOOD, s=55, label="reference with the change")
        axes.plot([f.floor for f in findings], places, "k|", markersize=14, label="noise floor")
        axes.set_yticks(places, [label(f"{f.rank}. {f.candidate}") for f in findings])
        axes.invert_yaxis()
        axes.set(xscale="log", xlabel="relative error against the candidate, where it shows first")
        axes.margins(y=0.4)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(
            frameon=False, fontsize="small", ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1)
        )
        return axes
