"""Records the arguments, results, states and time of a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import torch

from parity.capture.flatten import leaves
from parity.capture.recorder import Recorder
from parity.capture.sites import Call, Frame, Site, Thread
from parity.capture.states import own_state, split_states
from parity.tensors import Role

__all__ = ["CallRecorder"]

States = list[Mapping[Any, Any]]


@dataclass(frozen=True, slots=True)
class CallRecorder:
    """Runs calls of sites and records them.

    Attributes:
        recorder: where phases, steps and the sink live.
        states: whether states passed as arguments are recorded after the call of their owner.
    """

    recorder: Recorder
    states: bool = False

    def run(self, site: Site, inner: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call `inner`, record it as a call of `site`, and return its result untouched."""
        begun = perf_counter_ns()
        here = self.recorder.here
        with here.unseen():
            frame = self._enter(site, here)
            states = self._before(frame, args, kwargs) if frame.wanted else []
        here.stack.append(frame)
        start = perf_counter_ns()
        here.overhead_ns += start - begun
        overhead_ns = here.overhead_ns
        try:
            result = inner(*args, **kwargs)
        finally:
            stop = perf_counter_ns()
            here.stack.pop()
        if frame.wanted:
            seconds = (stop - start + overhead_ns - here.overhead_ns) * 1e-9
            with here.unseen():
                self.record_result(frame, result, seconds)
                self._record_states(frame, states)
        here.overhead_ns += perf_counter_ns() - stop
        return result

    def _enter(self, site: Site, here: Thread) -> Frame:
        recorder = self.recorder
        if here.phase in site.steps:
            recorder.begin_step(here.phase)
        at = recorder.now(site.next_call(here.phase))
        return Frame(site, at, wanted=recorder.every_call or recorder.wants(at))

    def _before(self, frame: Frame, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> States:
        site, recorder = frame.site, self.recorder
        if len(args) == 1 and not kwargs and not site.inputs and type(args[0]) is torch.Tensor:
            frame.fed = recorder.fed_by(args[0])  # the usual call, at a third of the cost
            return []
        data, states = split_states(site.names, args[site.skip :], kwargs)
        tensors = leaves(data, torch.Tensor)
        own = self._record_inputs(frame, tensors) if site.inputs else ()
        if recorder.lineage is not None:
            frame.fed = own or recorder.lineage.of(leaf for _, leaf in tensors)
        return states

    def _record_inputs(
        self, frame: Frame, tensors: Sequence[tuple[str, object]]
    ) -> tuple[int, ...]:
        put, path, fed_by = self.recorder.put, frame.site.path, self.recorder.fed_by
        orders = [
            put(path, leaf, Role.INPUT, slot, frame.at, producers=fed_by(leaf))
            for slot, leaf in tensors
        ]
        return tuple(order for order in orders if order is not None)

    def record_result(self, frame: Frame, result: object, duration_s: float) -> None:
        """Record the tensors in what a call returned."""
        if not frame.site.outputs:
            return
        recorder = self.recorder
        for slot, leaf in leaves(result, torch.Tensor):
            order = recorder.put(
                frame.site.path,
                leaf,
                Role.OUTPUT,
                slot,
                frame.at,
                producers=_merged(frame.fed, recorder.fed_by(leaf)),
                duration_s=duration_s,
            )
            recorder.derive(leaf, order)

    def _record_states(self, frame: Frame, states: States) -> None:
        if self.states and states:
            part = own_state(frame.site.path, states, torch.Tensor)
            for slot, leaf in leaves(part, torch.Tensor):
                self.recorder.put(frame.site.path, leaf, Role.STATE, slot, frame.at)


def _merged(fed: tuple[int, ...], passed_on: tuple[int, ...]) -> tuple[int, ...]:
    """What fed a call, and what its result had been before when a module inside made it."""
    return tuple(sorted({*fed, *passed_on})) if passed_on and passed_on != fed else fed
