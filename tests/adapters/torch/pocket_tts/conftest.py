"""The tiny reference, the port, and recordings of both on the same case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from fixtures.pocket_tts.build import ensure
from fixtures.pocket_tts.cases import case
from fixtures.pocket_tts.reference import Program as Reference
from parity.backends import MemorySink, Recorded
from parity.capture import Options, record_into
from parity.tensors import Case
from parity_torch.pocket_tts import Program
from parity_torch.pocket_tts.model import Model, load_model

Tap = tuple[str, str, str]  # phase, path, slot


@dataclass(frozen=True)
class Recording:
    """One run: its records in order, and what it returned."""

    sink: MemorySink
    outputs: Mapping[str, torch.Tensor]

    @property
    def records(self) -> list[Recorded]:
        return self.sink.records

    def by_tap(self) -> dict[Tap, list[np.ndarray]]:
        """The arrays of each tap, in call order."""
        taps: dict[Tap, list[np.ndarray]] = {}
        for record in self.records:
            key = record.key
            taps.setdefault((key.phase, key.path, key.slot), []).append(record.array)
        return taps


def relative(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Relative L2 error; 0 for two empty or two equal arrays."""
    a, b = reference.astype(np.float64), candidate.astype(np.float64)
    error = float(np.linalg.norm(a - b))
    return error and error / max(float(np.linalg.norm(a)), 1e-30)


def tap_error(reference: list[np.ndarray], candidate: list[np.ndarray]) -> float:
    """Relative L2 error over all calls of one tap; infinite where calls or shapes differ."""
    if [a.shape for a in reference] != [b.shape for b in candidate]:
        return float("inf")
    return relative(*(np.concatenate([a.ravel() for a in side]) for side in (reference, candidate)))


def first_bad(reference: Recording, candidate: Recording, *, bound: float = 1e-5) -> str | None:
    """The first tap in execution order that is missing or off by more than `bound`."""
    ours = candidate.by_tap()
    for tap, calls in reference.by_tap().items():
        if not tap_error(calls, ours.get(tap, [])) <= bound:
            return f"{tap[0]} {tap[1]}"
    return None


def capture(program: Program | Reference, case: Case) -> Recording:
    sink = MemorySink()
    options = Options(
        functions=program.functions,
        phases=program.phases,
        steps=program.steps,
        inputs=False,
        params=False,
        producers=False,
    )
    with record_into(sink, program.modules, options), torch.no_grad():
        outputs = program.run(case)
    return Recording(sink, outputs)


@pytest.fixture(scope="session")
def assets() -> Path:
    return ensure("tiny")


@pytest.fixture(scope="session")
def model(assets: Path) -> Model:
    return load_model(assets, torch.float32)


@pytest.fixture(scope="session")
def make_program(assets: Path) -> Callable[..., Program]:
    return lambda **options: Program(assets=assets, **options)


@pytest.fixture(scope="session")
def greeting() -> Case:
    return case("alba-greeting", size="tiny")


@pytest.fixture(scope="session")
def reference() -> Callable[[Case], Recording]:
    """Records the reference on a case, once for each case."""
    program = Reference(size="tiny")
    done: dict[str, Recording] = {}

    def recorded(case: Case) -> Recording:
        if case.name not in done:
            done[case.name] = capture(program, case)
        return done[case.name]

    return recorded


@pytest.fixture
def compare() -> Callable[..., str | None]:
    return first_bad


@pytest.fixture
def record() -> Callable[[Program, Case], Recording]:
    return capture
