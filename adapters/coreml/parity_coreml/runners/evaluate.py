"""The runner for any system: the program's semantics, with torch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import torch

from parity.errors import ConfigError
from parity_coreml.mil import Declared, Everywhere, Precision
from parity_coreml.mil.values import Array, to_value
from parity_coreml.package import Package
from parity_coreml.runners.protocol import Ran, Step

__all__ = ["PRECISIONS", "EvaluatorRunner", "precision_named"]

PRECISIONS = ("declared", "float32", "float16")


def precision_named(name: str) -> Precision:
    """The rounding that an option asks for.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in PRECISIONS:
        raise ConfigError(f"no such precision: {name!r}; there are {', '.join(PRECISIONS)}")
    return Declared() if name == "declared" else Everywhere(name)


class EvaluatorRunner:
    """Evaluates the MIL program. No device: what comes out is what the program says.

    Args:
        precision: declared, float32 or float16.
    """

    def __init__(self, precision: str = "declared") -> None:
        self._precision = precision_named(precision)
        self.name = f"evaluator ({precision})"

    def run(
        self,
        package: Package,
        steps: Sequence[Step],
        outputs: Sequence[str] | None = None,
        state: Mapping[str, Array] | None = None,
    ) -> Ran:
        """Evaluate all steps; every value is there, so nothing is ever missing."""
        evaluator = package.evaluator(self._precision)
        carried = evaluator.state() | {name: to_value(each) for name, each in (state or {}).items()}
        made: list[Step] = []
        states: list[Step] = []
        seconds: list[float] = []
        for step in steps:
            start = time.perf_counter()
            evaluation = evaluator.run(step, carried)
            seconds.append(time.perf_counter() - start)
            arrays = evaluator.arrays(evaluation)
            made.append({name: arrays[name] for name in outputs or arrays})
            states.append({name: each.numpy().astype("float16") for name, each in carried.items()})
        facts = {
            "framework": "MIL evaluator",
            "framework_version": f"torch {torch.__version__}",
            "precision": self._precision.name,
            "device": "none: semantics of the program",
        }
        return Ran(self.name, tuple(made), tuple(states), facts=facts, seconds=tuple(seconds))
