from __future__ import annotations

import numpy as np
import pytest

from parity.backends.conformance import BackendConformance, Subject
from parity.tensors import Case, TensorSpec
from parity_torch.backend import TorchBackend


class TestTorchBackend(BackendConformance):
    @pytest.fixture(autouse=True)
    def _program(self, models: str) -> None:
        self.program = f"{models}:Noisy"

    def subject(self) -> Subject:
        return Subject(
            make=lambda: TorchBackend(program=self.program),
            case=Case("short", arrays={"x": np.arange(6, dtype=np.float32).reshape(2, 3)}),
            expected={"mix:output": TensorSpec("float32", (2, 3))},
            bad_case=Case("bad", arrays={"x": np.ones(3), "y": np.ones(3)}),
        )
