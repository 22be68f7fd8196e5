"""Records functions and methods named by dotted path, and holds phases while they run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from parity.capture.calls import CallRecorder
from parity.capture.patching import Patches, Target, resolve
from parity.capture.recorder import Recorder
from parity.capture.sites import Site
from parity.capture.states import positional_names
from parity.tensors import Role, TapPlan

__all__ = ["record_functions", "wrap_phases"]

Function = Callable[..., Any]


def record_functions(
    paths: Sequence[str],
    calls: CallRecorder,
    patches: Patches,
    roots: Mapping[str, object],
    plan: TapPlan,
    *,
    inputs: bool,
    steps: Mapping[str, set[str]],
) -> dict[str, Site]:
    """Make each function of `paths` a recorded site; returns the sites by path."""
    sites: dict[str, Site] = {}
    for path in paths:
        target = resolve(path, roots)
        names = positional_names(target.function)
        skip = int(target.takes_self)
        sites[path] = Site(
            path,
            inputs=inputs and plan.wants_path(path, Role.INPUT),
            outputs=plan.wants_path(path, Role.OUTPUT),
            names=names[skip:],
            skip=skip,
            steps=steps.get(path, ()),
        )
        patches.replace(target, _recorded(target, sites[path], calls))
    return sites


def wrap_phases(
    phases: Mapping[str, str], recorder: Recorder, patches: Patches, roots: Mapping[str, object]
) -> None:
    """Hold each phase while its function runs, in the thread that runs it."""
    for phase, path in phases.items():
        target = resolve(path, roots)
        patches.replace(target, _in_phase(target.function, phase, recorder))


def _recorded(target: Target, site: Site, calls: CallRecorder) -> Function:
    function, instance, recorder = target.function, target.instance, calls.recorder

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        # The patch sits on the class: other objects of it, copies included, pass unrecorded.
        if recorder.closed or (instance is not None and args[0] is not instance):
            return function(*args, **kwargs)
        return calls.run(site, function, args, kwargs)

    return call


def _in_phase(function: Function, phase: str, recorder: Recorder) -> Function:
    if inspect.isgeneratorfunction(inspect.unwrap(function)):
        return _generator_in_phase(function, phase, recorder)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with recorder.phase(phase):
            return function(*args, **kwargs)

    return call


def _generator_in_phase(function: Function, phase: str, recorder: Recorder) -> Function:
    """A generator holds its phase only while it runs, not while its consumer does."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        source = function(*args, **kwargs)
        sent = None
        try:
            while True:
                with recorder.phase(phase):
                    try:
                        item = source.send(sent)
                    except StopIteration as end:
                        return end.value
                sent = yield item
        finally:
            source.close()

    return call
