"""Numbers as people say them."""

from __future__ import annotations

import math

__all__ = ["percent", "size"]


def size(value: float) -> str:
    """A relative error: `3.1e-07`, `0`; a dash where it is not known."""
    if math.isnan(value):
        return "–"
    return "0" if value == 0 else f"{value:.1e}"


def percent(share: float) -> str:
    """A share of a whole: `64 %`. What is nearly all is not called all, nor a trace nothing."""
    if math.isnan(share):
        return "–"
    if 0 < share < 0.005:
        return "less than 1 %"
    if 0.995 <= share < 1 - 1e-9:
        return "more than 99 %"
    if -0.005 < share < 0:
        return "0 %"
    return f"{100 * share:.0f} %".replace("-", "\N{MINUS SIGN}")
