"""Numbers, filters and summarises what a backend records, and hands it to a writer.

Loads no torch, so that every backend can use it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from parity.metrics import digest, tensor_statistics
from parity.tensors import NO_STEP, NoiseDraw, Role, TapKey, TapPlan, TapRecord, TensorSpec, Tier

__all__ = ["Facts", "StoreSink", "Writer"]

Array = np.ndarray[Any, np.dtype[Any]]
Facts = Mapping[str, str | int | float | bool]


class Writer(Protocol):
    """What a sink writes to: `parity.store.CaptureWriter`, or lists in a test."""

    def append(self, record: TapRecord, array: Array | None) -> None:
        """Write one record; `array` is None where its tier keeps no data."""
        ...

    def append_noise(self, draw: NoiseDraw) -> None:
        """Write one random draw."""
        ...

    def update_meta(self, **facts: Any) -> None:
        """Replace facts of the run: the fields of `parity.store.CaptureMeta`."""
        ...


# Fields of `CaptureMeta`; any other fact goes into its `extra`.
_META_FIELDS = frozenset({
    "implementation", "framework", "hardware", "threads", "precision", "case_name", "case_digest",
    "weights_digest", "code_revision", "started", "ended",
})  # fmt: skip


class _Tap:
    """One (path, role, slot): whether the plan can want it, and its calls so far by phase."""

    __slots__ = ("calls", "tier", "wanted")

    def __init__(self, *, wanted: bool, tier: Tier) -> None:
        self.wanted = wanted
        self.tier = tier
        self.calls: dict[str, int] = {}

    def number(self, phase: str, call: int | None) -> int:
        chosen = self.calls.get(phase, 0) if call is None else call
        self.calls[phase] = chosen + 1
        return chosen


class StoreSink:
    """A `CaptureSink` that computes statistics and digests and writes records.

    It may be used from several threads. Parameters keep no data, only their digests: the weights
    of a model lie in its own files.

    Args:
        writer: where records go.
        plan: which tensors to write, and how much of each.
    """

    def __init__(self, writer: Writer, plan: TapPlan | None = None) -> None:
        self.plan = plan or TapPlan()
        self._writer = writer
        self._lock = threading.Lock()
        self._taps: dict[tuple[str, Role, str], _Tap] = {}
        self._threads: dict[int, int] = {}
        self._specs: dict[tuple[Any, tuple[int, ...]], TensorSpec] = {}
        self._order = 0
        self._versions: dict[str, str] = {}
        self._extra: dict[str, Any] = {}

    @property
    def count(self) -> int:
        """How many tensors were recorded."""
        return self._order

    def describe(self, facts: Facts) -> None:
        """State facts of the run; `framework_version` and `package.NAME` are versions."""
        fields = {name: value for name, value in facts.items() if name in _META_FIELDS}
        for name, value in facts.items():
            if name == "framework_version":
                self._versions[str(facts.get("framework", "framework"))] = str(value)
            elif name.startswith("package."):
                self._versions[name.removeprefix("package.")] = str(value)
            elif name not in fields:
                self._extra[name] = value
        self._writer.update_meta(**fields, versions=dict(self._versions), extra=dict(self._extra))

    def noise(self, draw: NoiseDraw) -> None:
        """Record one random draw, in draw order."""
        with self._lock:
            self._writer.append_noise(draw)

    def record(
        self,
        path: str,
        array: Array,
        *,
        role: Role = Role.TAP,
        slot: str = "",
        phase: str = "",
        call: int | None = None,
        step: int = NO_STEP,
        source: str = "",
        producers: tuple[int, ...] = (),
        duration_s: float = math.nan,
    ) -> int | None:
        """Record one tensor of any shape; see `parity.backends.CaptureSink`."""
        with self._lock:
            tap = self._tap(path, role, slot)
            call = tap.number(phase, call)
            if not (tap.wanted and self.plan.wants_call(phase, call, step)):
                return None
            order = self._order
            self._order = order + 1
            array = np.asarray(array, order="C")
            record = TapRecord(
                TapKey(path, role, slot, phase, call),
                self._spec(array),
                order,
                step,
                source,
                producers,
                duration_s,
                self._thread(),
                tap.tier,
                tensor_statistics(array),
                "" if tap.tier is Tier.STATS else digest(array),
            )
            self._writer.append(record, array if tap.tier is Tier.TENSOR else None)
            return order

    def _tap(self, path: str, role: Role, slot: str) -> _Tap:
        name = (path, role, slot)
        tap = self._taps.get(name)
        if tap is None:
            tier = self.plan.tier
            if role is Role.PARAM and tier is Tier.TENSOR:
                tier = Tier.DIGEST
            tap = _Tap(wanted=self.plan.wants_path(path, role), tier=tier)
            self._taps[name] = tap
        return tap

    def _spec(self, array: Array) -> TensorSpec:
        name = (array.dtype, array.shape)
        spec = self._specs.get(name)
        if spec is None:
            spec = self._specs[name] = TensorSpec(array.dtype.name, array.shape)
        return spec

    def _thread(self) -> int:
        return self._threads.setdefault(threading.get_ident(), len(self._threads))
