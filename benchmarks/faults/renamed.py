"""A port that calls its taps otherwise than the reference does."""

from __future__ import annotations

import re
from typing import Any

from parity.backends import Backend, Capabilities, CaptureSink
from parity.tensors import Case, TapPlan

__all__ = ["Renamed"]


class Renamed:
    """A backend whose taps have other names: underscores for dots, words cut to four letters."""

    name = "renamed"

    def __init__(self, inner: Backend) -> None:
        self._inner = inner

    def capabilities(self) -> Capabilities:
        """Those of the port."""
        return self._inner.capabilities()

    def capture(self, case: Case, plan: TapPlan, sink: CaptureSink) -> None:
        """Run the port and record under other names."""
        self._inner.capture(case, plan, _Renaming(sink))


class _Renaming:
    def __init__(self, sink: CaptureSink) -> None:
        self._sink = sink

    def describe(self, facts: Any) -> None:
        self._sink.describe(facts)

    def noise(self, draw: Any) -> None:
        self._sink.noise(draw)

    def record(self, path: str, array: Any, **others: Any) -> int | None:
        words = re.split(r"[._]", path)
        return self._sink.record("port_" + "_".join(w[:5] for w in words), array, **others)
