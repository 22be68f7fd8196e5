"""Runs a Core ML package by one of its runners, and records it by module paths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from parity.backends import Capabilities, CaptureSink
from parity.errors import BackendError, ConfigError, InputError
from parity.tensors import Case, Role, TapPlan
from parity_coreml.mil.evaluator import check_shape
from parity_coreml.mil.values import Array, in_declared_type
from parity_coreml.package import Package, open_package
from parity_coreml.runners import (
    DeviceRunner,
    EvaluatorRunner,
    Ran,
    RemoteRunner,
    ResultsRunner,
    Runner,
    Step,
)
from parity_coreml.sidecar import read_sidecar

__all__ = ["CoreMLBackend", "make_runner", "steps_of"]

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_RUNNERS = ("evaluator", "device", "remote", "results")


class CoreMLBackend:
    """A package with its sidecar, and what runs it."""

    name = "coreml"

    def __init__(
        self,
        *,
        package: str | Path | None = None,
        runner: str = "",
        precision: str = "declared",
        compute_units: str = "all",
        device: str = "",
        team: str = "",
        bundle: str | Path | None = None,
        results: str | Path | None = None,
        values: bool | str = False,
        states: bool | str = False,
    ) -> None:
        """Take the options; what each means stands in `parity_coreml.ADAPTER.options`.

        Raises:
            ConfigError: an option cannot be used, or does not go with another.
            InputError: a file cannot be used.
        """
        self._values = _switch("values", values)
        self._states = _switch("states", states)
        chosen = runner or ("results" if results is not None else "evaluator")
        self._runner = make_runner(
            chosen,
            precision=precision,
            compute_units=compute_units,
            device=device,
            team=team,
            bundle=bundle,
            results=results,
        )
        where = package
        if where is None and isinstance(self._runner, ResultsRunner) and bundle is not None:
            where = Path(bundle) / self._runner.bundle.packages[0].path
        if where is None:
            raise ConfigError("needs the option package", where="coreml")
        self._package = open_package(where)
        self._sidecar = read_sidecar(where)

    def capabilities(self) -> Capabilities:
        """States can be recorded; nothing can be put in."""
        return Capabilities(states=self._states, devices=(self._runner.name,))

    def capture(self, case: Case, plan: TapPlan, sink: CaptureSink) -> None:
        """Run the package on the case's arrays, and record every module that the sidecar places.

        Raises:
            InputError: the arrays do not fit the program.
            BackendError: nothing came out at all.
        """
        elsewhere = isinstance(self._runner, ResultsRunner)
        steps = () if elsewhere else steps_of(case.arrays, self._package)
        ran = self._runner.run(self._package, steps)
        if not any(ran.steps):
            reasons = "; ".join(dict.fromkeys(each.reason for each in ran.missing)) or "no reason"
            raise BackendError(f"no value came out: {reasons}", where=self._runner.name)
        self._describe(ran, sink)
        for step, made in enumerate(ran.steps):
            self._record_modules(step, made, plan, sink)
            if self._values:
                wanted = _wanted("coreml", Role.TAP, made, plan)
                for path, value in wanted.items():
                    sink.record(path, value, role=Role.TAP, call=step)
            if self._states and ran.states:
                wanted = _wanted("states", Role.STATE, ran.states[step], plan)
                for path, value in wanted.items():
                    sink.record(path, value, role=Role.STATE, call=step)

    def _record_modules(self, step: int, made: Step, plan: TapPlan, sink: CaptureSink) -> None:
        for placed in self._sidecar.placed:
            # What is not there is named in the facts.
            if placed.value not in made or not plan.wants_path(placed.path, Role.OUTPUT):
                continue
            value = made[placed.value]
            sink.record(
                placed.path,
                value.transpose(placed.permutation) if placed.permutation else value,
                role=Role.OUTPUT,
                slot=placed.slot,
                call=step * placed.calls + placed.call,
            )

    def _describe(self, ran: Ran, sink: CaptureSink) -> None:
        sink.describe(
            {**ran.facts, "implementation": self._package.path.stem, "runner": ran.runner}
        )
        skipped = {str(each): each.reason for each in self._sidecar.unplaced}
        skipped |= {self._called(each.name): each.reason for each in ran.missing}
        if skipped:
            sink.describe({
                "skipped": "; ".join(f"{name} ({why})" for name, why in skipped.items())
            })  # fmt: skip

        changed = [f"{self._called(name)} by {error:.1e}" for name, error in ran.changed.items()]
        if changed:
            said = f"moved when further values came out: {', '.join(changed)}"
            sink.describe({"remarks": said})

    def _called(self, value: str) -> str:
        """The first module whose output the value is, or its own name."""
        return next((str(each) for each in self._sidecar.placed if each.value == value), value)


def _wanted(prefix: str, role: Role, made: Step, plan: TapPlan) -> dict[str, Array]:
    paths = {f"{prefix}.{name}": value for name, value in made.items()}
    return {path: value for path, value in paths.items() if plan.wants_path(path, role)}


def make_runner(
    name: str,
    *,
    precision: str = "declared",
    compute_units: str = "all",
    device: str = "",
    team: str = "",
    bundle: str | Path | None = None,
    results: str | Path | None = None,
) -> Runner:
    """The runner that options ask for.

    Raises:
        ConfigError: there is none of that name, or an option is missing or of another.
    """
    if name != "results" and (bundle is not None or results is not None):
        raise ConfigError(
            f"a bundle is read with its results, and not by the runner {name}",
            where="coreml",
            hint="name both, bundle and results, and no other runner",
        )
    if name != "remote" and (device or team):
        raise ConfigError(
            f"a device and a team are the runner remote's, not of {name}", where="coreml"
        )
    if name == "evaluator":
        return EvaluatorRunner(precision)
    if name == "device":
        return DeviceRunner(compute_units)
    if name == "remote":
        return RemoteRunner(device, compute_units, team)
    if name == "results":
        if bundle is None or results is None:
            raise ConfigError("results need the options bundle and results", where="coreml")
        return ResultsRunner(bundle, results)
    raise ConfigError(f"no such runner: {name!r}; there are {', '.join(_RUNNERS)}", where="runner")


def steps_of(arrays: Mapping[str, Array], package: Package) -> tuple[dict[str, Array], ...]:
    """The inputs of each step: an array with one axis more than the program takes has one a step.

    Args:
        arrays: by the names of the program's inputs.
        package: the package.

    Raises:
        InputError: names, numbers of steps, shapes or types do not fit.
    """
    function = package.function()
    wanted = {
        name: variable
        for name, variable in function.inputs.items()
        if name not in package.evaluator().state()
    }
    if set(wanted) != set(arrays):
        raise InputError(
            f"the program takes {', '.join(wanted) or 'nothing'}; got "
            f"{', '.join(arrays) or 'nothing'}",
            where="case",
            hint="name the case's arrays after the program's inputs",
        )
    stacked = {name for name, each in wanted.items() if arrays[name].ndim == len(each.shape) + 1}
    counts = {name: arrays[name].shape[0] for name in stacked}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        said = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise InputError(f"the steps do not agree: {said}", where="case")
    count = next(iter(counts.values()), 1)
    steps = tuple(
        {
            name: np.asarray(arrays[name][step] if name in stacked else arrays[name])
            for name in wanted
        }
        for step in range(count)
    )
    for name, variable in wanted.items():
        check_shape(name, variable, steps[0][name])
        for each in steps:
            in_declared_type(name, variable, each[name])
    return steps


def _switch(option: str, given: bool | str) -> bool:
    if isinstance(given, bool):
        return given
    if given.lower() not in _WORDS:
        raise ConfigError(f"neither true nor false: {given!r}", where=option)
    return _WORDS[given.lower()]
