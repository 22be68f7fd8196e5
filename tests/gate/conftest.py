"""Runs made of arrays: what the gate judges, without capturing anything."""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parity
from parity.gate import Baseline, GateResult, check
from parity.run import CaptureState, Comparison, RunResult
from parity.run.gate_config import GateConfig, Listed
from parity.tolerance import preset

TODAY = date(2026, 6, 1)
FILE = Path("none.h5")


def tensors(**factors: float) -> dict[str, np.ndarray]:
    """Three layers, each times a factor of its own."""
    drawn = np.random.default_rng(5)
    made = {f"layer{i}": drawn.standard_normal(20).astype(np.float32) for i in range(3)}
    return {name: array * np.float32(factors.get(name, 1.0)) for name, array in made.items()}


def compared(
    candidate: Mapping[str, np.ndarray],
    *,
    case: str = "hello",
    name: str = "port",
    problem: str = "",
    **options: Any,
) -> Comparison:
    """The three layers compared with `candidate`."""
    result = parity.diff(tensors(), candidate, **options)
    return Comparison(case, name, CaptureState(FILE), CaptureState(FILE, problem=problem), result)


def listed(**fields: Any) -> Listed:
    """An entry that holds today."""
    return Listed(**({"reason": "issue 7", "until": TODAY} | fields))


@pytest.fixture
def judged() -> Callable[..., GateResult]:
    """Judges comparisons under a `[gate]` table; without a baseline, none is asked for."""

    def judge(
        *comparisons: Comparison,
        baseline: Baseline | None = None,
        tolerance: str = "fp32",
        whole: bool = True,
        today: date = TODAY,
        **gate: Any,
    ) -> GateResult:
        asked = {"baseline": "" if baseline is None else "file.json"} | gate
        return check(
            RunResult("toy", comparisons),
            GateConfig(**asked),
            tolerance=preset(tolerance),
            baseline=baseline,
            today=today,
            whole=whole,
        )

    return judge
