"""What tests of several packages share."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from parity.capture import StoreSink
from parity.store import CaptureMeta, CaptureWriter
from parity.tensors import TapPlan, Tier

pytest_plugins = ["pytester"]

# A run of the suite says the same of a commit every time; whoever looks for what no run has met yet
# asks for `--hypothesis-profile=explore`.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", derandomize=False, print_blob=True)
settings.load_profile("repeatable")

Taps = Sequence[tuple[str, np.ndarray]]


@pytest.fixture
def capture_of(tmp_path: Path) -> Callable[..., Path]:
    """Writes named arrays, or calls of taps, into a capture file, and says where it is."""

    def write(
        name: str,
        arrays: Mapping[str, np.ndarray] | Taps,
        *,
        tier: str = "tensor",
        complete: bool = True,
    ) -> Path:
        path = tmp_path / name
        writer = CaptureWriter(path, meta=CaptureMeta(implementation=name))
        sink = StoreSink(writer, TapPlan(tier=Tier(tier)))
        for tap, array in arrays.items() if isinstance(arrays, Mapping) else arrays:
            sink.record(tap, array)
        sink.flush()
        writer.close(complete=complete)
        return path

    return write
