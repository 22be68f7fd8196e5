"""One way to run a package, whatever runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from parity_coreml.mil.values import Array
from parity_coreml.missing import Missing
from parity_coreml.package import Package

__all__ = ["UNITS", "Ran", "Runner", "Step"]

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
        again: values that came out twice, from packages with different outputs: as `steps`.
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
