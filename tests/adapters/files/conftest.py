from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.backends import MemorySink
from parity.tensors import Case, TapPlan
from parity_files.backend import FilesBackend

Array = np.ndarray[Any, np.dtype[Any]]
Dump = Callable[..., Path]
Read = Callable[..., MemorySink]


@pytest.fixture
def dump(tmp_path: Path) -> Dump:
    """Writes .npy files by their names below a folder, and returns the folder."""

    def write(*names: str, **arrays: Array) -> Path:
        for number, name in enumerate(names):
            arrays.setdefault(name, np.full((2, 3), number, np.float32))
        for name, array in arrays.items():
            path = tmp_path / "dumps" / f"{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, array)
        return tmp_path / "dumps"

    return write


@pytest.fixture
def read() -> Read:
    """Captures a folder into memory."""

    def capture(folder: Path, *, plan: TapPlan | None = None, **options: Any) -> MemorySink:
        sink = MemorySink(plan)
        FilesBackend(folder, **options).capture(Case("short"), sink.plan, sink)
        return sink

    return capture


@pytest.fixture
def keys(read: Read) -> Callable[..., list[str]]:
    """The keys that a folder gives, in order."""

    def capture(folder: Path, **options: Any) -> list[str]:
        return [str(record.key) for record in read(folder, **options).records]

    return capture
