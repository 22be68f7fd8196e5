"""One way to run a package, whatever runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from parity_coreml.errors_of import nan_last, relative_error
from parity_coreml.mil.values import Array
from parity_coreml.missing import Missing
from parity_coreml.package import Package

__all__ = ["UNITS", "Ran", "Runner", "Step", "keep"]

# As the platform names them, in its order.
UNITS = ("all", "cpuOnly", "cpuAndGPU", "cpuAndNeuralEngine")

Step = Mapping[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Ran:
    """What came out of a package.

    Attributes:
        runner: who ran it, as reports print it.
        steps: the values by their names in the program, one mapping a step.
        states: the states after each step, by name.
        missing: what was asked for and did not come.
        again: values that came out twice, from packages with different outputs: as `steps`. Of
            several the first that is not the same.
        facts: of the device, the units, the precision.
        seconds: of each step, as far as the runner knows.
    """

    runner: str
    steps: tuple[Step, ...]
    states: tuple[Step, ...] = ()
    missing: tuple[Missing, ...] = ()
    again: tuple[Step, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    seconds: tuple[float, ...] = ()

    @property
    def changed(self) -> dict[str, float]:
        """How far a value moved when further ones came out, worst step; NaN if past comparing."""
        worst: dict[str, float] = {}
        for first, second in zip(self.steps, self.again, strict=False):
            for name, value in second.items():
                if not _same(value, first[name]):
                    error = relative_error(value, first[name])
                    worst[name] = max(worst.get(name, 0.0), error, key=nan_last)
        return worst


def keep(name: str, value: Array, made: dict[str, Array], again: dict[str, Array]) -> None:
    """Take a value in as `steps` and `again` of a `Ran` have it."""
    if name not in made:
        made[name] = value
    elif name not in again or _same(again[name], made[name]):
        again[name] = value


def _same(one: Array, other: Array) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f")


class Runner(Protocol):
    """Runs packages: the evaluator, Core ML, or what a harness brought back."""

    name: str

    def run(
        self,
        package: Package,
        steps: Sequence[Step],
        outputs: Sequence[str] | None = None,
        state: Mapping[str, Array] | None = None,
    ) -> Ran:
        """Run all steps on one state.

        Args:
            package: the package as it was converted.
            steps: inputs by name, one mapping a step.
            outputs: names of values of the program; None for all that there are.
            state: by name, to start with instead of zeros.
        """
        ...
