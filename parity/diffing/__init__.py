"""Two implementations side by side: alignment x metrics x tolerance -> `DiffResult`."""

from parity.diffing.compare import Side, diff
from parity.diffing.coverage import ModelCoverage, Share
from parity.diffing.noise import FloorUse
from parity.diffing.result import DiffResult, DiffTable, Outcome, TapDiff
from parity.diffing.source import ArraySource, CaptureSource, TensorSource

__all__ = [
    "ArraySource",
    "CaptureSource",
    "DiffResult",
    "DiffTable",
    "FloorUse",
    "ModelCoverage",
    "Outcome",
    "Share",
    "Side",
    "TapDiff",
    "TensorSource",
    "diff",
]
