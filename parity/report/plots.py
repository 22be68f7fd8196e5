"""Pictures of a result, drawn with matplotlib."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from parity.diffing import DiffResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["error_svg", "plot_error"]

ACCEPTED, FAILING = "#2b7a78", "#c0392b"
# Where exact agreement is drawn, since a logarithmic axis has no zero.
EXACT = 1e-9


def plot_error(result: DiffResult, axes: Axes | None = None) -> Axes:
    """Relative L2 error of every compared tensor along execution, over the accepted band.

    Tensors that agree exactly are drawn at the bottom, those that are not finite at the top.
    """
    axes = axes if axes is not None else Figure(figsize=(9, 3.4), layout="constrained").subplots()
    rows = result.table.compared
    error = result.table.metrics["rel_l2"][rows]
    x = np.arange(error.size)
    top = np.nanmax(np.where(np.isfinite(error), error, 0.0), initial=1e-4) * 10
    drawn = np.where(np.isfinite(error), np.clip(error, EXACT, None), top)
    good = result.table.ok[rows]
    axes.fill_between(
        x, EXACT / 2, np.clip(result.table.floor[rows], EXACT / 2, None),
        color=ACCEPTED, alpha=0.12, linewidth=0, label="noise floor",
    )  # fmt: skip
    axes.scatter(x[good], drawn[good], s=5, color=ACCEPTED, label="within tolerance")
    axes.scatter(x[~good], drawn[~good], s=9, color=FAILING, label="not accepted")
    axes.set(
        yscale="log", xlabel="tensor, in the reference's execution order",
        ylabel="relative error", ylim=(EXACT / 2, top * 3), xlim=(-1, max(x.size, 1)),
    )  # fmt: skip
    axes.grid(axis="y", alpha=0.25)
    axes.legend(loc="upper left", fontsize="small", ncols=3, frameon=False)
    return axes


def error_svg(result: DiffResult) -> str:
    """The picture of `plot_error` as an SVG element, for embedding in a page."""
    axes = plot_error(result)
    for collection in axes.collections:
        # Thousands of points as vectors would make the page megabytes large.
        collection.set_rasterized(True)
    figure = axes.get_figure()
    assert isinstance(figure, Figure)  # noqa: S101 - plot_error made it
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, dpi=160, metadata={"Date": None})
    text = buffer.getvalue().decode()
    return text[text.index("<svg") :]
