"""Numbers, filters and summarises what a backend records, and hands it to a writer.

Loads no torch, so that every backend can use it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from threading import get_ident
from time import monotonic
from typing import Any, Protocol

import numpy as np

from parity.capture.batch import SMALL_BYTES, Batch
from parity.capture.port import Port, Waiting
from parity.metrics import digest, tensor_statistics
from parity.store.block import RecordBlock
from parity.tensors import NO_STEP, NoiseDraw, Role, TapKey, TapPlan, TapRecord, TensorSpec, Tier

__all__ = ["Facts", "StoreSink", "Writer"]

Array = np.ndarray[Any, np.dtype[Any]]
Facts = Mapping[str, str | int | float | bool]


class Writer(Protocol):
    """What a sink writes to: `parity.store.CaptureWriter`, or lists in a test."""

    def append(self, record: TapRecord, array: Array | None) -> None:
        """Write one record; `array` is None where its tier keeps no data."""
        ...

    def append_block(self, block: RecordBlock) -> None:
        """Write many records of one tap."""
        ...

    def append_noise(self, draw: NoiseDraw) -> None:
        """Write one random draw."""
        ...

    def set_modules(self, text: str) -> None:
        """State the modules of the implementation, a JSON object."""
        ...

    def update_meta(self, **facts: Any) -> None:
        """Replace facts of the run: the fields of `parity.store.CaptureMeta`."""
        ...


# Fields of `CaptureMeta`; any other fact goes into its `extra`.
_META_FIELDS = frozenset({
    "implementation", "framework", "hardware", "threads", "precision", "case_name", "case_digest",
    "weights_digest", "code_revision", "started", "ended",
})  # fmt: skip


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
        self._ports: dict[tuple[str, int, str], Port] = {}
        self._threads: dict[int, int] = {}
        self._order = 0
        self._began = monotonic()
        limits: tuple[object, ...] = (self.plan.phases, self.plan.calls, self.plan.steps)
        self._limited = any(limit is not None for limit in limits)
        self._batch = Batch(writer.append_block)
        self._versions: dict[str, str] = {}
        self._extra: dict[str, Any] = {}

    @property
    def count(self) -> int:
        """How many tensors were recorded."""
        return self._order

    def describe(self, facts: Facts) -> None:
        """State facts of the run; `framework_version` and `package.NAME` are versions.

        `modules` is the JSON text of an object: parameter elements by path of what can be called.
        """
        facts = dict(facts)
        if "modules" in facts:
            self._writer.set_modules(str(facts.pop("modules")))
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
        port = self.port(path, role, slot)
        if call is not None:
            port.calls[phase] = call + 1
        return self.push(port, array, phase, call, step, source, producers, duration_s)

    def port(self, path: str, role: Role, slot: str) -> Port:
        """What `push` takes instead of a name, to be looked up once."""
        # By identity: an enumeration's own hash is computed in Python.
        key = (path, id(role), slot)
        port = self._ports.get(key)
        return (
            port if port is not None else self._ports.setdefault(key, self._port(path, role, slot))
        )

    def push(  # noqa: PLR0917  called for every tensor: keywords would cost
        self,
        port: Port,
        array: Array,
        phase: str,
        call: int | None,
        step: int,
        source: str,
        producers: tuple[int, ...],
        duration_s: float,
    ) -> int | None:
        """As `record`, by port; calls with a number are not counted here."""
        with self._lock:
            if call is None:
                call = port.calls.get(phase, 0)
                port.calls[phase] = call + 1
            if not port.wanted or (self._limited and not self.plan.wants_call(phase, call, step)):
                return None
            order = self._order
            self._order = order + 1
            ident = get_ident()
            thread = self._threads.get(ident)
            if thread is None:
                thread = self._threads[ident] = len(self._threads)
            now = monotonic()
            waiting = (
                phase, call, order, step, source, producers, duration_s, thread, now - self._began,
            )  # fmt: skip
            if array.nbytes > SMALL_BYTES:
                self._write(port, waiting, array)
            else:
                self._batch.push(port, waiting, array, now)
            return order

    def flush(self) -> None:
        """Hand everything to the writer; to be called when the run ends."""
        with self._lock:
            self._batch.flush()

    def _write(self, port: Port, waiting: Waiting, array: Array) -> None:
        phase, call, order, step, source, producers, duration_s, thread, time_s = waiting
        array = np.asarray(array, order="C")
        record = TapRecord(
            TapKey(port.path, port.role, port.slot, phase, call),
            TensorSpec(array.dtype.name, array.shape),
            order,
            step,
            source,
            producers,
            duration_s,
            thread,
            port.tier,
            tensor_statistics(array),
            "" if port.tier is Tier.STATS else digest(array),
            time_s,
        )
        self._writer.append(record, array if port.tier is Tier.TENSOR else None)

    def _port(self, path: str, role: Role, slot: str) -> Port:
        tier = self.plan.tier
        if role is Role.PARAM and tier is Tier.TENSOR:
            tier = Tier.DIGEST
        return Port(path, role, slot, tier=tier, wanted=self.plan.wants_path(path, role))
