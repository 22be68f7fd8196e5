"""`parity calibrate`, and `parity run` with measured floors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from parity.cli.main import main
from parity.store import open_capture

Result = tuple[int, str, str]
Parity = Callable[..., Result]

PROGRAM = '''
import torch
from torch import nn


class Program:
    """Two layers on noise of torch's; `eps` is the fault."""

    name = "small"

    def __init__(self, eps=1e-5, dtype="float32"):
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(64, 64), nn.LayerNorm(64, eps=eps), nn.Linear(64, 64))
        self.modules = {"": self.net.eval()}

    def run(self, case):
        x = torch.from_numpy(case.arrays["x"]) + torch.randn(4, 64)
        return {"result": self.net(x) * case.inputs["scale"]}


class Raises(Program):
    def run(self, case):
        raise ValueError("no such kernel")


def cases():
    import numpy as np
    from parity.tensors import Case

    return [Case(f"case{i}", {"scale": 2.0}, {"x": np.ones((4, 64), "f4") * i}) for i in range(2)]
'''

CONFIG = """
[subject]
name = "small"
cases = "calibrated_port:cases"

[reference]
options = { program = "calibrated_port:Program" }
isolate = false

[candidates.port]
options = { program = "calibrated_port:Program", eps = 1.5e-5 }
isolate = false

[tolerance]
calibrate = true

[diagnose]
enabled = false

[report]
formats = ["json"]
"""


@pytest.fixture
def parity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Parity:
    """Runs the command line in a folder that holds a program and its configuration."""
    (tmp_path / "calibrated_port.py").write_text(PROGRAM)
    (tmp_path / "parity.toml").write_text(CONFIG)
    np.save(tmp_path / "x.npy", np.ones((4, 64), np.float32))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("calibrated_port", None)

    def call(*arguments: object) -> Result:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def reference(parity: Parity, tmp_path: Path) -> Path:
    path = tmp_path / "reference.h5"
    status, _, error = parity(
        "capture", "--option", "program=calibrated_port:Program", "--array", "x=x.npy",
        "--input", "scale=2", "--no-isolate", "-o", path,
    )  # fmt: skip
    assert status == 0, error
    return path


def calibrate(parity: Parity, path: Path, *more: object) -> Result:
    return parity("calibrate", path, "--program", "calibrated_port:Program", *more)


def test_the_floors_of_a_capture_are_measured_and_kept(parity: Parity, reference: Path) -> None:
    before = reference.read_bytes()
    status, out, error = calibrate(
        parity, reference, "--precision", "float32", "--precision", "float16"
    )
    assert status == 0, error
    assert "noise floors of 9 tensors" in out
    assert "sums in another" in out
    assert "float16" in out
    with open_capture(reference) as capture:
        assert capture.floor_precisions == ("float32", "float16")
        floors = capture.floors("float32")
        places = [i for i, record in enumerate(capture.records) if record.key.path == "result"]
        assert 2.0**-24 <= floors[places[0]] < 1e-6
        assert capture.floors("float16")[places[0]] > 1e-4
        assert capture.floor_facts("float32")["runs"][0] == "as recorded"
        assert capture.run_id
    assert len(reference.read_bytes()) > len(before)


def test_a_later_diff_judges_by_them(parity: Parity, reference: Path, tmp_path: Path) -> None:
    port = tmp_path / "port.h5"
    parity(
        "capture", "--option", "program=calibrated_port:Program", "--option", "eps=1.5e-5",
        "--array", "x=x.npy", "--input", "scale=2", "--noise", reference, "--no-isolate",
        "-o", port,
    )  # fmt: skip
    status, out, _ = parity("diff", reference, port)
    assert status == 0
    assert "derived from the element type; `parity calibrate" in " ".join(out.split())
    assert calibrate(parity, reference)[0] == 0
    status, out, _ = parity("diff", reference, port)
    assert status == 1
    assert "calibrated (float32)" in out
    status, out, _ = parity("diff", reference, port, "--json", "-")
    found = json.loads(out)
    assert found["floors"] == {
        "source": "calibrated", "precisions": ["float32"], "calibrated": 9, "derived": 0,
    }  # fmt: skip
    assert "noise floors: calibrated (float32)" in found["notes"]
    assert {row["floor_source"] for row in found["taps"] if row["port"] == "output"} == {
        "calibrated"
    }


def test_json_has_every_floor(parity: Parity, reference: Path) -> None:
    status, out, _ = calibrate(parity, reference, "--json", "-")
    assert status == 0
    (found,) = json.loads(out)["captures"]
    assert found["file"] == str(reference)
    assert found["precisions"]["float32"]["unknown"] == 0
    assert found["precisions"]["float32"]["worst"][0]["floor"] > 0
    assert {tap["tap"] for tap in found["taps"]} >= {"0", "1", "2", "result"}


def test_calibrating_again_replaces(parity: Parity, reference: Path) -> None:
    calibrate(parity, reference)
    with open_capture(reference) as capture:
        first = capture.floors("float32")
    assert calibrate(parity, reference)[0] == 0
    with open_capture(reference) as capture:
        np.testing.assert_array_equal(capture.floors("float32"), first)


def refused(result: Result, *words: str) -> None:
    status, out, error = result
    assert status == 2
    assert out == ""
    said = " ".join(error.split())
    for word in words:
        assert word in said
    assert "Traceback" not in error


def test_another_program_is_refused(parity: Parity, reference: Path) -> None:
    whole = reference.read_bytes()
    other = calibrate(parity, reference, "-o", "eps=0.5")
    refused(other, "the program does not reproduce the capture", "is off by", "record it again")
    refused(parity("calibrate", reference, "--program", "calibrated_port:Raises"), "no such kernel")
    refused(
        parity("calibrate", reference, "--program", "calibrated_port:Nothing"), "calibrated_port"
    )
    assert reference.read_bytes() == whole


def test_a_call_that_says_too_little_or_too_much(parity: Parity, reference: Path) -> None:
    refused(parity("calibrate", reference), "--program module:attribute")
    refused(parity("calibrate", "--program", "a:b"), "--program and --option belong to a capture")
    refused(calibrate(parity, reference, "--case", "x"), "only one is calibrated at a time")
    refused(calibrate(parity, Path("nothing.h5")), "does not exist")
    refused(calibrate(parity, reference, "--precision", "int8"), "Invalid value")


def test_an_incomplete_capture_is_refused(parity: Parity, reference: Path) -> None:
    with h5py.File(reference, "r+") as h5:
        h5.attrs["complete"] = np.bool_(False)
    refused(calibrate(parity, reference), "is incomplete", "record it again")


def test_a_capture_without_its_case_is_refused(parity: Parity, reference: Path) -> None:
    with h5py.File(reference, "r+") as h5:
        del h5["case/json"]
    refused(calibrate(parity, reference), "does not say which case was run", "parity.calibrate")


def test_a_backend_that_only_dumps_is_refused(
    parity: Parity, reference: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "dump.npz", a=np.ones(3))
    refused(
        parity("calibrate", reference, "--backend", "files", "-o", f"folder={tmp_path}"),
        "only dumps tensors",
        "name a torch program",
    )


def test_all_cases_of_a_configuration(parity: Parity, tmp_path: Path) -> None:
    status, out, error = parity("calibrate")
    assert status == 0, error
    assert out.count("noise floors of 9 tensors") == 2
    captures = sorted((tmp_path / ".parity").rglob("reference.h5"))
    assert len(captures) == 2
    # A capture with floors is still good for a run.
    status, out, _ = parity("run", "--json", "-")
    assert status == 1
    for comparison in json.loads(out)["comparisons"]:
        assert comparison["captures"]["reference"]["reused"]
        assert comparison["diff"]["floors"]["source"] == "calibrated"
    assert parity("calibrate", "--case", "case1")[1].count("noise floors of") == 1
    refused(parity("calibrate", "--case", "nothing"), "no case matches 'nothing'")


def test_a_run_measures_once(
    parity: Parity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, out, _ = parity("run", "--json", "-")
    assert status == 1
    found = json.loads(out)["comparisons"]
    assert {c["diff"]["floors"]["source"] for c in found} == {"calibrated"}
    captures = sorted((tmp_path / ".parity").rglob("reference.h5"))
    first = [path.read_bytes() for path in captures]
    monkeypatch.setattr("parity.run.pipeline.calibrate_reference", None)
    status, out, _ = parity("run", "--json", "-")
    assert status == 1
    assert all(c["captures"]["reference"]["reused"] for c in json.loads(out)["comparisons"])
    assert [path.read_bytes() for path in captures] == first


def test_without_the_option_a_run_measures_nothing(parity: Parity, tmp_path: Path) -> None:
    config = tmp_path / "parity.toml"
    config.write_text(config.read_text().replace("calibrate = true", "calibrate = false"))
    _, out, _ = parity("run", "--json", "-")
    assert {c["diff"]["floors"]["source"] for c in json.loads(out)["comparisons"]} == {"derived"}
