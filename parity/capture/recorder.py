"""The heart of a recording: phases, steps, explicit taps, and the way of a tensor to the sink."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from parity.backends.protocol import CaptureSink
from parity.capture.flatten import leaves
from parity.capture.sites import Moment, Thread
from parity.capture.values import UnrecordableError, as_array, tensor_types
from parity.tensors import NO_STEP, Role, TapPlan

if TYPE_CHECKING:
    import torch

    from parity.capture.lineage import Lineage

__all__ = ["Recorder"]


class Recorder:
    """Records what runs into a sink, from any thread.

    Attributes:
        sink: where records go.
        plan: what is wanted; asked before a tensor is touched.
        lineage: which records live tensors came from; None when that is not recorded.
        here: phase, running calls and recording overhead of the calling thread.
        steps: the current step of each phase that has steps.
        skipped: what could not be recorded: path and port -> why.
        closed: true once recording ended; calls still running in other threads go unrecorded.
    """

    def __init__(
        self, sink: CaptureSink, plan: TapPlan | None = None, *, lineage: Lineage | None = None
    ) -> None:
        self.sink = sink
        self.plan = plan or TapPlan()
        self.lineage = lineage
        self.here = Thread()
        self.steps: dict[str, int] = {}
        self.skipped: dict[str, str] = {}
        self.closed = False
        limits: tuple[object, ...] = (self.plan.phases, self.plan.calls, self.plan.steps)
        self.every_call = all(limit is None for limit in limits)

    def tap(self, path: str, value: object, role: Role, slot: str) -> None:
        """Record the tensors and arrays in `value`."""
        started = perf_counter_ns()
        at = self.now()
        with self.here.unseen():
            for place, leaf in leaves(value, tensor_types(), place=slot):
                order = self.put(path, leaf, role, place, at, producers=self.fed_by(leaf))
                self.derive(leaf, order)
        self.here.overhead_ns += perf_counter_ns() - started

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Hold a phase in the calling thread, and in the threads that it starts meanwhile."""
        here = self.here
        outer, here.phase = here.phase, name
        try:
            yield
        finally:
            here.phase = outer

    def next_step(self) -> None:
        """Begin the next step of the calling thread's phase."""
        self.begin_step(self.here.phase)

    def describe(self, facts: Mapping[str, str]) -> None:
        """State facts of the run."""
        self.sink.describe(facts)

    def begin_step(self, phase: str) -> None:
        """Begin the next step of `phase`; its first is step 0."""
        self.steps[phase] = self.steps.get(phase, NO_STEP) + 1

    def now(self, call: int | None = None) -> Moment:
        """Phase and step of the calling thread."""
        phase = self.here.phase
        return Moment(phase, call, self.steps.get(phase, NO_STEP))

    def wants(self, at: Moment) -> bool:
        """Whether the plan wants calls of this moment."""
        return self.every_call or self.plan.wants_call(at.phase, at.call or 0, at.step)

    def fed_by(self, leaf: object) -> tuple[int, ...]:
        """The records that a tensor came from."""
        return () if self.lineage is None else self.lineage.of_one(leaf)

    def derive(self, leaf: object, order: int | None) -> None:
        """Remember that a tensor is the one recorded as `order`."""
        if order is not None and self.lineage is not None:
            self.lineage.set(leaf, (order,))

    def drawn(self, tensor: torch.Tensor, *, taped: bool) -> None:
        """Hear that a tensor of any shape was drawn at random, and whether a replayed tape had it.

        The sink has its values already.
        """

    def put(
        self,
        path: str,
        leaf: Any,
        role: Role,
        slot: str,
        at: Moment,
        *,
        source: str = "",
        producers: tuple[int, ...] = (),
        duration_s: float = math.nan,
    ) -> int | None:
        """Hand one tensor of any shape to the sink, now: it may change afterwards."""
        if self.closed:
            return None
        try:
            array = as_array(leaf)
        except UnrecordableError as reason:
            self.skipped.setdefault(f"{path}:{role}{'.' if slot else ''}{slot}", str(reason))
            return None
        return self.sink.record(
            path,
            array,
            role=role,
            slot=slot,
            phase=at.phase,
            call=at.call,
            step=at.step,
            source=source,
            producers=producers,
            duration_s=duration_s,
        )
