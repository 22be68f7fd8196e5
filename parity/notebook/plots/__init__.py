"""Pictures, drawn with matplotlib: what `.plot` of a result or a capture is."""

from parity.notebook.plots.causes import DiagnosisPlots
from parity.notebook.plots.diffs import DiffPlots
from parity.notebook.plots.places import FloorPlots, LocalizationPlots
from parity.notebook.plots.tensors import CapturePlots, SeriesPlots

__all__ = [
    "CapturePlots",
    "DiagnosisPlots",
    "DiffPlots",
    "FloorPlots",
    "LocalizationPlots",
    "SeriesPlots",
]
