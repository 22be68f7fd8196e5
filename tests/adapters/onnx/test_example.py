"""The adapter's example does what it says."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from parity.run import load_config, run

EXAMPLES = Path(__file__).resolve().parents[3] / "adapters" / "onnx" / "examples"


def test_the_example_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(shutil.copytree(EXAMPLES, tmp_path / "example"))
    monkeypatch.chdir(folder)
    command = [sys.executable, str(folder / "small_decoder.py")]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "19 outputs of modules have a value, 0 have none" in made.stdout
    result = run(load_config(folder / "parity.toml"))
    (comparison,) = result.comparisons
    assert comparison.diff is not None
    assert comparison.diff.outcome == "holds"
    assert comparison.diff.model is not None
    assert comparison.diff.model.uncompared == {}
