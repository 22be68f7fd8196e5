"""Metrics of a reference beside candidates of known distances."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from parity.metrics import Metrics, metrics, pair_statistics_many


@pytest.fixture
def reference() -> np.ndarray:
    """Float32 `(500,)`, zero mean, unit variance."""
    return np.random.default_rng(0).standard_normal(500).astype(np.float32)


@pytest.fixture
def measure(reference: np.ndarray) -> Callable[..., Metrics]:
    """Metrics of each candidate against `reference`, or against `against`."""

    def compute(candidates: Sequence[np.ndarray], against: np.ndarray | None = None) -> Metrics:
        base = reference if against is None else against
        return metrics(pair_statistics_many([base] * len(candidates), list(candidates)))

    return compute


@pytest.fixture
def off(reference: np.ndarray) -> Callable[[float], np.ndarray]:
    """A candidate with the given relative L2 error."""

    def move(distance: float) -> np.ndarray:
        noise = np.random.default_rng(1).standard_normal(reference.size)
        noise *= distance * np.linalg.norm(reference) / np.linalg.norm(noise)
        return reference + noise

    return move
