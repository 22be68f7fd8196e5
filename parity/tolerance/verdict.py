"""The words for what a comparison of one tap found."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Verdict"]


class Verdict(StrEnum):
    """What was found at one tap, from best to worst; then what kept it from being compared."""

    IDENTICAL = "identical"
    """The same bits."""
    WITHIN_NOISE = "within_noise"
    """An error that rounding explains."""
    DRIFT = "drift"
    """More than rounding explains, and small: an approximation, another kernel, lost precision."""
    DIVERGENT = "divergent"
    """Something else was computed."""
    NONFINITE = "nonfinite"
    """NaN or infinite on one side, and not the same on the other."""
    SHAPE = "shape"
    """The shapes differ."""
    DTYPE = "dtype"
    """The element types differ."""
    MISSING = "missing"
    """The candidate has no such tap."""
    EXTRA = "extra"
    """Only the candidate has such a tap."""
    UNDECIDED = "undecided"
    """Too little was kept of the tensors to tell: their statistics agree, their bits may not."""
