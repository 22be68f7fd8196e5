"""Which tensor of the candidate stands beside which of the reference."""

from __future__ import annotations

from parity.align.aligner import Mode, align
from parity.align.result import Alignment, Evidence, Pairs, TapMatch, TensorView, ViewPair
from parity.align.rules import LayoutRule, Rename

__all__ = [
    "Alignment",
    "Evidence",
    "LayoutRule",
    "Mode",
    "Pairs",
    "Rename",
    "TapMatch",
    "TensorView",
    "ViewPair",
    "align",
]
