"""The tiny reference, the Rust port, and recordings of both on the same noise."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fixtures.pocket_tts.cases import case
from fixtures.pocket_tts.native import built_library, native_port
from parity.backends import MemorySink
from parity.tensors import Case, Role, TapPlan
from parity_torch.backend import TorchBackend

OUTPUTS = TapPlan(roles=frozenset({Role.OUTPUT}))
Taps = dict[tuple[str, str, str], list[np.ndarray]]  # by phase, path and slot, in call order


@pytest.fixture(scope="session", autouse=True)
def _built() -> None:
    if not built_library().is_file():
        reason = "see https://rustup.rs" if shutil.which("cargo") is None else "make native"
        pytest.skip(f"the Rust port is not built: {reason}")


def by_tap(sink: MemorySink) -> Taps:
    taps: Taps = {}
    for record in sink.records:
        key = record.key
        taps.setdefault((key.phase, key.path, key.slot), []).append(record.array)
    return taps


def relative(reference: list[np.ndarray], candidate: list[np.ndarray]) -> float:
    """Relative L2 error over all calls of a tap; infinite where calls, types or shapes differ."""
    if [(a.shape, a.dtype) for a in reference] != [(b.shape, b.dtype) for b in candidate]:
        return float("inf")
    a, b = (
        np.concatenate([x.ravel() for x in side]).astype(float) for side in (reference, candidate)
    )
    error = float(np.linalg.norm(a - b))
    return error and error / max(float(np.linalg.norm(a)), 1e-30)


def first_bad(reference: Taps, candidate: Taps, bound: float = 1e-5) -> str | None:
    """The first tap in execution order that is missing or off by more than `bound`."""
    for (phase, path, slot), calls in reference.items():
        if not relative(calls, candidate.get((phase, path, slot), [])) <= bound:
            return f"{phase} {path}"
    return None


@pytest.fixture(scope="session")
def reference() -> Callable[[str], tuple[Case, Taps]]:
    """The reference's taps on a case, and the case with the noise that it drew."""
    backend = TorchBackend(
        program="fixtures.pocket_tts.reference:Program", size="tiny", params=False
    )
    done: dict[str, tuple[Case, Taps]] = {}

    def recorded(name: str) -> tuple[Case, Taps]:
        if name not in done:
            chosen, sink = case(name, size="tiny"), MemorySink(OUTPUTS)
            backend.capture(chosen, OUTPUTS, sink)
            done[name] = replace(chosen, noise=tuple(sink.draws)), by_tap(sink)
        return done[name]

    return recorded


@pytest.fixture(scope="session")
def port() -> Callable[..., Taps]:
    """The taps of the port on a case."""

    def recorded(chosen: Case, **options: object) -> Taps:
        sink = MemorySink(OUTPUTS)
        native_port("tiny", isolate=False, **options).capture(chosen, OUTPUTS, sink)
        return by_tap(sink)

    return recorded


@pytest.fixture(scope="session")
def compare() -> Callable[..., str | None]:
    return first_bad
