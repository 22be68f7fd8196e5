"""Pictures of a result, drawn with matplotlib."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from parity.diagnose import Diagnosis
from parity.diffing import DiffResult
from parity.report.numbers import percent
from parity.report.series import FloatColumn
from parity.report.words import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["error_svg", "plot_error", "plot_shares"]

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


def plot_shares(diagnosis: Diagnosis, axes: Axes | None = None) -> Axes:
    """The share of the error at the output that each finding explains, and what is left.

    Shares are of the squared error, so that they add up to one. Findings of which it is not known
    have no bar.
    """
    rows = [(f"{f.rank}. {printable(f.cause)}", f.explained_output) for f in diagnosis.findings]
    left = diagnosis.output_left / diagnosis.output_error if diagnosis.output_error > 0 else np.nan
    rows.append(("left", left**2))
    if axes is None:
        axes = Figure(figsize=(7, 0.8 + 0.4 * len(rows)), layout="constrained").subplots()
    shares = np.nan_to_num(np.array([share for _, share in rows], float), posinf=0.0)
    # A name with a dollar sign in it is a name and no formula.
    labels = [name.replace("$", r"\$") for name, _ in rows]
    colours = [ACCEPTED] * len(diagnosis.findings) + [FAILING]
    bars = axes.barh(range(len(rows)), 100 * shares, color=colours)
    axes.bar_label(bars, [percent(share) for _, share in rows], padding=4, fontsize="small")
    axes.set_yticks(range(len(rows)), labels)
    axes.invert_yaxis()
    output = printable(diagnosis.output).replace("$", r"\$") or "the output"
    axes.set(xlabel=f"% of the squared error at {output}", xlim=_room(100 * shares))
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _room(bars: FloatColumn) -> tuple[float, float]:
    """Limits of an axis of per cent that leave room for a label beside each bar."""
    low, high = float(bars.min()), float(bars.max())
    return (low - 15 if low < 0 else 0, max(high, 100) + 15)
