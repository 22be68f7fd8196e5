from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from adapters.onnx.small import CASE, small_model

from parity.backends.conformance import BackendConformance, Subject
from parity.cli.main import main
from parity.tensors import Case, TensorSpec
from parity_onnx.backend import OnnxBackend


class TestOnnxBackend(BackendConformance):
    @pytest.fixture(autouse=True)
    def _model(self, tmp_path: Path) -> None:
        self.model = small_model(tmp_path)

    def subject(self) -> Subject:
        return Subject(
            make=lambda: OnnxBackend(model=self.model, batch=2, taps="all"),
            case=CASE,
            expected={"encoder.norm:output": TensorSpec("float32", (2, 3))},
            bad_case=Case("bad", arrays={"y": np.ones(3, np.float32), "z": np.ones(3)}),
        )


def test_the_command_says_that_it_conforms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "x.npy", CASE.arrays["x"])
    arguments = ["backends", "check", "onnx", "--option", f"model={small_model(tmp_path)}"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--array", f"x={tmp_path / 'x.npy'}"])
    assert ended.value.code == 0
    assert "it conforms" in capsys.readouterr().out
