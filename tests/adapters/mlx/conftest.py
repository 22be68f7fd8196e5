"""Compares torch references with MLX ports."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parity
from parity.diffing import DiffResult
from parity.tensors import Case, Role, TapPlan

EXAMPLES = Path(__file__).resolve().parents[3] / "adapters" / "mlx" / "examples"
Compare = Callable[..., DiffResult]


@pytest.fixture
def codec(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The adapter's example: a convolutional decoder and its port."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, "codec", raising=False)
    import codec

    return codec


@pytest.fixture
def compare(tmp_path: Path) -> Compare:
    """Compares a torch module with an MLX program on a case's arrays."""

    def run(
        module: Any,
        program: Any,
        arrays: dict[str, np.ndarray],
        *,
        tolerance: str = "fp32",
        **options: Any,
    ) -> DiffResult:
        from parity.capture.isolated import capture_here
        from parity_mlx.backend import MlxBackend
        from parity_torch.backend import TorchBackend

        case, outputs = Case("toy", arrays=arrays), TapPlan(roles=frozenset({Role.OUTPUT}))
        sides = tmp_path / "reference.h5", tmp_path / "mlx.h5"
        capture_here(TorchBackend(program=module), case, outputs, sides[0])
        capture_here(MlxBackend(program=program, **options), case, TapPlan(), sides[1])
        return parity.diff(*sides, tolerance=tolerance)

    return run
