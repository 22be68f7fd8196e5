"""`parity backends` and `parity doctor`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parity.cli import findings
from parity.cli.main import main

Result = tuple[int, str, str]
Parity = Callable[..., Result]


@pytest.fixture
def parity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Parity:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def call(*arguments: object) -> Result:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return call


def test_backends_are_listed_with_their_options(parity: Parity) -> None:
    status, out, _ = parity("backends")
    assert status == 0
    assert "✓ files a folder of .npy, .npz and .safetensors files" in out
    assert "✓ torch PyTorch models" in out
    assert "pattern" in out


def test_backends_as_json(parity: Parity) -> None:
    found = {entry["name"]: entry for entry in json.loads(parity("backends", "--json")[1])}
    assert found["files"]["ready"]
    assert "folder" in found["files"]["options"]


def test_a_backend_that_lacks_something_says_how_to_get_it(
    parity: Parity, monkeypatch: pytest.MonkeyPatch
) -> None:
    from parity.backends import registry

    monkeypatch.setattr(registry, "find_spec", lambda _module: None)
    _, out, _ = parity("backends")
    assert "✗ torch" in out
    assert "not installed: torch" in out
    assert "get it: pip install 'parity[torch]'" in out


def test_check_passes_a_good_backend(parity: Parity) -> None:
    np.save("a.npy", np.ones(2))
    status, out, _ = parity("backends", "check", "files", "--option", "folder=.")
    assert status == 0
    assert "✓ No two tensors of a run have the same key." in out
    assert "- Another seed draws other noise.\n    the run draws nothing" in out
    assert out.endswith("it conforms\n")


def test_check_fails_a_bad_one(parity: Parity) -> None:
    Path("cli_mute.py").write_text(
        "from parity.backends import Capabilities\n"
        "class Mute:\n"
        "    name = 'mute'\n"
        "    def capabilities(self):\n        return Capabilities()\n"
        "    def capture(self, case, plan, sink):\n        sink.describe({'framework': 'none'})\n"
    )
    status, out, _ = parity("backends", "check", "cli_mute:Mute")
    assert status == 1
    assert "a run under the widest plan recorded nothing" in out
    assert out.endswith("1 of 28 checks failed\n")
    status, out, _ = parity("backends", "check", "cli_mute:Mute", "--json")
    assert status == 1
    failed = [entry["check"] for entry in json.loads(out) if entry["status"] == "failed"]
    assert failed == ["records_something"]


def test_check_of_nothing_is_one_error(parity: Parity) -> None:
    status, out, err = parity("backends", "check", "fils")
    assert (status, out) == (2, "")
    assert "did you mean 'files'?" in err


def test_doctor_lists_what_is_there(parity: Parity) -> None:
    status, out, _ = parity("doctor")
    assert status == 0
    for group in ("machine", "python", "extras", "tools"):
        assert group in out
    assert np.__version__ in out


def test_doctor_names_the_command_for_what_is_missing(
    parity: Parity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "_version", lambda package: "" if package == "torch" else "1.0")
    monkeypatch.setattr(findings.shutil, "which", lambda _command: None)
    found = {entry["name"]: entry for entry in json.loads(parity("doctor", "--json")[1])}
    assert found["torch"]["found"] == ""
    assert found["torch"]["remedy"] == "pip install 'parity[torch]'"
    assert found["cargo"]["remedy"] == "https://rustup.rs, or apt install cargo"
    assert found["numpy"]["found"] == "1.0"
    assert parity("doctor")[0] == 0


def test_doctor_fails_when_parity_itself_cannot_work(
    parity: Parity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "_version", lambda package: "" if package == "h5py" else "1.0")
    status, out, _ = parity("doctor")
    assert status == 2
    assert "missing: pip install parity" in out


def test_a_tool_that_hangs_or_fails_is_named_by_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "cargo"
    broken.write_text("not a program")
    broken.chmod(0o755)
    monkeypatch.setattr(
        findings.shutil, "which", lambda command: str(broken) if command == "cargo" else None
    )
    found = {finding.name: finding.found for finding in findings.examine()}
    assert found["cargo"] == str(broken)
