from __future__ import annotations

import numpy as np
import pytest

from parity.backends.conformance import BackendConformance, Subject
from parity.tensors import Case, TensorSpec
from parity_coreml.backend import CoreMLBackend


class TestCoreMLBackend(BackendConformance):
    @pytest.fixture(autouse=True)
    def _package(self, counter) -> None:
        self.package = str(counter.path)

    def subject(self) -> Subject:
        steps = np.arange(24, dtype=np.float32).reshape(3, 1, 1, 8)
        return Subject(
            make=lambda: CoreMLBackend(package=self.package, states=True, values=True),
            case=Case("three steps", arrays={"x": steps}),
            expected={"proj:output": TensorSpec("float32", (1, 1, 8))},
            bad_case=Case("bad", arrays={"y": np.ones(3)}),
        )
