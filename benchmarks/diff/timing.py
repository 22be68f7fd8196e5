"""Timing in rounds, everything once in each round, so that a busy moment hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

__all__ = ["in_rounds"]


def in_rounds(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The shortest wall time of each, in seconds."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - started)
    return best
