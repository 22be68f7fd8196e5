"""What tests of several packages share."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from parity.capture import StoreSink
from parity.store import CaptureMeta, CaptureWriter
from parity.tensors import TapPlan, Tier

pytest_plugins = ["pytester"]


@pytest.fixture
def capture_of(tmp_path: Path) -> Callable[..., Path]:
    """Writes named arrays into a capture file below the test's folder, and says where."""

    def write(
        name: str, arrays: Mapping[str, np.ndarray], *, tier: str = "tensor", complete: bool = True
    ) -> Path:
        path = tmp_path / name
        writer = CaptureWriter(path, meta=CaptureMeta(implementation=name))
        sink = StoreSink(writer, TapPlan(tier=Tier(tier)))
        for tap, array in arrays.items():
            sink.record(tap, array)
        sink.flush()
        writer.close(complete=complete)
        return path

    return write
