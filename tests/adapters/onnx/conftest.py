"""Toys exported once, whichever test and worker asks first, and captures of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests_toys import toy

import parity
from parity.capture.isolated import capture_here
from parity.diffing import DiffResult
from parity.tensors import Case, Role, TapPlan
from parity_onnx import export
from parity_onnx.backend import OnnxBackend
from parity_torch.backend import TorchBackend

Compare = Callable[..., DiffResult]
Exported = Callable[[str], Path]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The file of a toy's export; exporting takes seconds, so workers share what is there."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "onnx-toys"
    folder.mkdir(exist_ok=True)

    def make(name: str) -> Path:
        path = folder / f"{name}.onnx"
        if not path.with_suffix(".parity.json").exists():  # written last
            own = tmp_path_factory.mktemp(name) / path.name
            module, arrays = toy(name)
            # Unoptimised, no module is folded into its neighbour.
            export(module, tensors(arrays), own, optimize=False, external_data=False)
            own.replace(path)
            own.with_suffix(".parity.json").replace(path.with_suffix(".parity.json"))
        return path

    return make


def tensors(arrays: dict[str, np.ndarray]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(array) for array in arrays.values())


@pytest.fixture
def compare(tmp_path: Path) -> Compare:
    """Compares a torch module, or a program, with an ONNX model on a case's arrays."""

    def run(
        module: Any,
        model: Path,
        arrays: dict[str, np.ndarray],
        *,
        tolerance: str = "fp32",
        **options: Any,
    ) -> DiffResult:
        case, outputs = Case("toy", arrays=arrays), TapPlan(roles=frozenset({Role.OUTPUT}))
        sides = tmp_path / "reference.h5", tmp_path / "onnx.h5"
        capture_here(TorchBackend(program=module), case, outputs, sides[0])
        capture_here(OnnxBackend(model=model, **options), case, TapPlan(), sides[1])
        return parity.diff(*sides, tolerance=tolerance)

    return run
