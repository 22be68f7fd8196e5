"""Where pictures are drawn, and in which colours."""

from __future__ import annotations

import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from parity.report.words import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BAD", "EXACT", "GOOD", "GREY", "WARN", "as_svg", "canvas", "label", "on_log_axis"]

GOOD, BAD, WARN, GREY = "#2b7a78", "#c0392b", "#d08a1d", "#8a94a3"
# Where exact agreement is drawn, since a logarithmic axis has no zero.
EXACT = 1e-9

FloatColumn = np.ndarray[Any, np.dtype[np.float64]]


def canvas(columns: int = 1, *, size: tuple[float, float] = (9, 3.4), **options: Any) -> list[Axes]:
    """`columns` empty axes side by side, `size` in inches.

    Within IPython they belong to pyplot, so that a notebook shows them below the cell. Elsewhere
    nobody else holds on to them.
    """
    figure: Figure
    if _within_ipython():
        from matplotlib import pyplot as plt  # noqa: PLC0415 - chooses a backend when loaded

        figure = plt.figure(figsize=size, layout="constrained")
    else:
        figure = Figure(figsize=size, layout="constrained")
    return list(figure.subplots(1, columns, squeeze=False, **options)[0])


def _within_ipython() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and shell.get_ipython() is not None


def as_svg(figure: Figure) -> str:
    """The figure as an SVG element, clouds of points as pixels, which keeps it small."""
    for axes in figure.axes:
        for collection in axes.collections:
            collection.set_rasterized(True)
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, dpi=130, metadata={"Date": None})
    text = buffer.getvalue().decode()
    return text[text.index("<svg") :]


def label(text: str, longest: int = 44) -> str:
    """A tap's name for an axis: no formula in it, and its end where it is long."""
    shown = printable(text).replace("\n", " ").replace("$", r"\$")
    return shown if len(shown) <= longest else "…" + shown[1 - longest :]


def on_log_axis(error: FloatColumn) -> FloatColumn:
    """Errors as drawn: exact agreement at the bottom, what is not finite above all others."""
    finite = np.where(np.isfinite(error), error, 0.0)
    top = max(float(finite.max(initial=0.0)), 1e-4) * 10
    return np.where(np.isfinite(error), np.clip(error, EXACT, None), top)
