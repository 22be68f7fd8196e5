"""The runner for a Mac: Core ML itself, through coremltools."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from parity.errors import BackendError, ConfigError
from parity_coreml.instrument import BATCH, batches, exposable, instrument
from parity_coreml.mil.values import Array
from parity_coreml.missing import Missing
from parity_coreml.package import Package
from parity_coreml.quiet import coremltools, quietly
from parity_coreml.runners.protocol import UNITS, Ran, Step, keep

__all__ = ["DeviceRunner", "compute_unit", "predict_batches"]


class DeviceRunner:
    """Core ML on this Mac. Intermediate values come out of copies of the package, in batches.

    Args:
        compute_units: one of `UNITS`.
        batch: how many values more than its own a copy gives out.

    Raises:
        ConfigError: no such compute units.
        BackendError: this is no Mac.
    """

    def __init__(self, compute_units: str = "all", batch: int = BATCH) -> None:
        self._unit = compute_unit(compute_units)
        if platform.system() != "Darwin":
            raise BackendError(
                f"Core ML runs on a Mac; this is {platform.system()}",
                where="runner",
                hint="runner=evaluator evaluates the program here, or `parity coreml bundle` "
                "writes what a Mac or an iPhone needs to run it",
            )
        self._units = compute_units
        self._batch = batch
        self.name = f"Core ML ({compute_units})"

    def run(
        self,
        package: Package,
        steps: Sequence[Step],
        outputs: Sequence[str] | None = None,
        state: Mapping[str, Array] | None = None,
    ) -> Ran:
        """Run the package as it is, then each instrumented copy, all from a fresh state."""
        if state:
            raise ConfigError("states start at zero on a device", where="state")
        facts = {
            "framework": "Core ML",
            "framework_version": f"macOS {platform.mac_ver()[0]}",
            "device": platform.machine(),
            "compute_units": self._units,
        }
        ran = predict_batches(package, steps, outputs, self._load, self._batch)
        return Ran(self.name, *ran, facts=facts)

    def _load(self, path: Path) -> Any:
        ct = coremltools()
        with quietly():
            return ct.models.MLModel(str(path), compute_units=ct.ComputeUnit[self._unit])


def compute_unit(name: str) -> str:
    """What coremltools calls the compute units of that name.

    Raises:
        ConfigError: there are none.
    """
    if name not in UNITS:
        raise ConfigError(
            f"no such compute units: {name!r}; there are {', '.join(UNITS)}", where="compute_units"
        )
    return ("ALL", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE")[UNITS.index(name)]


def predict_batches(
    package: Package,
    steps: Sequence[Step],
    outputs: Sequence[str] | None,
    load: Callable[[Path], Any],
    size: int = BATCH,
) -> tuple[tuple[Step, ...], tuple[Step, ...], tuple[Missing, ...], tuple[Step, ...]]:
    """Everything that `predict` gives for the package and its instrumented copies.

    Args:
        package: as it was converted.
        steps: inputs by name.
        outputs: the values wanted; None for all.
        load: path of a package -> an object with `predict` and, for states, `make_state`.
        size: of a batch.

    Returns:
        `steps`, `states` (the platform gives none to Python), `missing` and `again` of a `Ran`.
    """
    values, left = exposable(package)
    own = [variable.name for variable in package.function().outputs]
    wanted = {value.name: value for value in values if outputs is None or value.name in outputs}
    collected = _Collected(steps, stateful=bool(package.evaluator().state()))
    collected.missing += [each for each in left if outputs is None or each.name in outputs]
    collected.add(load, package.path, own)
    with tempfile.TemporaryDirectory() as folder:
        for number, names in enumerate(batches(list(wanted.values()), own, size), 1):
            path = Path(folder) / f"{number:03}.mlpackage"
            instrument(package, [wanted[name] for name in names], path)
            collected.add(load, path, [*own, *names])
    return tuple(collected.made), (), tuple(collected.missing), tuple(collected.again)


class _Collected:
    """What several packages gave out on the same steps."""

    def __init__(self, steps: Sequence[Step], *, stateful: bool) -> None:
        self._steps = steps
        self._stateful = stateful
        self.made: list[dict[str, Array]] = [{} for _ in steps]
        self.again: list[dict[str, Array]] = [{} for _ in steps]
        self.missing: list[Missing] = []

    def add(self, load: Callable[[Path], Any], path: Path, names: Sequence[str]) -> None:
        """Run one package from a fresh state; what it gives a second time goes to `again`."""
        try:
            self._predict(load(path), names)
        except Exception as error:  # whatever the platform raises is a finding, not the end
            said = str(error).strip().splitlines() or [type(error).__name__]
            self.missing += [Missing(name, f"prediction failed: {said[-1]}") for name in names]

    def _predict(self, model: Any, names: Sequence[str]) -> None:
        state = {"state": model.make_state()} if self._stateful else {}
        for number, step in enumerate(self._steps):
            predicted = model.predict(dict(step), **state) or {}
            for name in names:
                if predicted.get(name) is None:
                    self.missing.append(Missing(name, f"the platform gave None, step {number}"))
                    continue
                given = np.array(predicted[name])
                keep(name, given, self.made[number], self.again[number])
