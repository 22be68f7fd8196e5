"""`parity diagnose`: of a configuration and of two captures."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parity.cli.main import main
from parity.store import CaptureMeta, CaptureWriter
from tests_torch import write_project

Result = tuple[int, str, str]
Parity = Callable[..., Result]


@pytest.fixture
def parity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Parity:
    """Runs the command line in a folder with the small torch model; forgets what was printed."""
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "small_model", raising=False)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: object) -> Result:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return int(stop.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def pair(parity: Parity, tmp_path: Path) -> tuple[str, ...]:
    """The options that name two captures, of the reference and of the port with another GELU."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((2, 5, 8), np.float32))
    for name, options in (("ref", ()), ("port", ("--option", "fault=gelu"))):
        status, _, err = parity(
            "capture", "--no-isolate", "--option", "program=small_model:Program", *options,
            "--array", "x=x.npy", "-o", f"{name}.h5",
        )  # fmt: skip
        assert status == 0, err
    return (
        "--reference", "ref.h5", "--candidate", "port.h5", "--program", "small_model:Program",
    )  # fmt: skip


SCREEN = """\
✗ The difference is explained: 1 cause.

  1. high          GELU(erf) instead of ELU(alpha=1.0)  activation.function
                   at net.*.act (2 sites), but not at net.2.act
                   Put into the reference, it reproduces the candidate there exactly and explains
                   100 % of the squared error at logits.
                   ━━━━━━━━━━━━━━━━━━━━━━━━
                   first seen at net.0.act, call 0, small_model.py:16

  The output, logits, is off by """


def test_two_captures_are_diagnosed(parity: Parity, pair: tuple[str, ...]) -> None:
    status, out, err = parity("diagnose", *pair)
    shown = "\n".join(line.rstrip() for line in out.splitlines())
    assert shown.startswith(SCREEN), out
    assert (status, err) == (1, "")


def test_json_on_the_standard_output_is_alone_there(parity: Parity, pair: tuple[str, ...]) -> None:
    status, out, err = parity("diagnose", *pair, "--json", "-")
    document = json.loads(out, parse_constant=pytest.fail)
    assert (status, err) == (1, "")
    assert (document["format"], document["verdict"]) == ("parity-diagnosis", "explained")
    (finding,) = document["findings"]
    assert finding["site"]["tap"] == "net.0.act"
    assert finding["exceptions"] == ["net.2.act"]
    assert (finding["family"], finding["parameter"]) == ("activation", "function")
    assert finding["explained_output"] == pytest.approx(1.0)
    assert document["unexplained"] == []


def test_reports_are_written_beside_the_screen(
    parity: Parity, pair: tuple[str, ...], tmp_path: Path
) -> None:
    kinds = ("json", "markdown", "html")
    status, out, _ = parity("diagnose", *pair, *[f"--{k}={tmp_path / k}" for k in kinds])
    assert (status, "The difference is explained" in out) == (1, True)
    assert all("GELU(erf)" in (tmp_path / kind).read_text() for kind in kinds)


def test_the_same_run_has_no_fault(parity: Parity, pair: tuple[str, ...]) -> None:
    status, out, _ = parity("diagnose", *pair[:3], "ref.h5", *pair[4:])
    assert status == 0
    assert out.startswith("✓ No fault found: ")
    assert "The output, logits, is the same." in out


def test_nothing_to_compare_exits_with_3(
    parity: Parity, pair: tuple[str, ...], tmp_path: Path
) -> None:
    with CaptureWriter(tmp_path / "port.h5", meta=CaptureMeta()):
        pass
    status, out, _ = parity("diagnose", *pair)
    assert (status, out.startswith("? Nothing can be concluded")) == (3, True)


def test_renamed_and_selected_taps(parity: Parity, pair: tuple[str, ...]) -> None:
    parity(
        "capture", "--no-isolate", "--option", "program=small_model:Program", "--option",
        "fault=gelu", "--option", "name=port", "--array", "x=x.npy", "-o", "port.h5",
    )  # fmt: skip
    renamed = parity("diagnose", *pair, "--rename", "port.{rest} -> net.{rest}", "--json", "-")
    (finding,) = json.loads(renamed[1])["findings"]
    assert finding["candidate"] == "GELU(erf)"
    by_order = parity("diagnose", *pair, "--auto", "--json", "-")
    assert json.loads(by_order[1])["findings"][0]["candidate"] == "GELU(erf)"
    few = ("--rename", "port.{rest} -> net.{rest}", "--exclude", "*.act", "--output", "logits")
    assert json.loads(parity("diagnose", *pair, *few, "--json", "-")[1])["output"] == "logits"


def test_a_configuration_is_diagnosed_and_its_captures_are_kept(parity: Parity) -> None:
    status, out, err = parity("diagnose", "gelu", "clean")
    assert status == 1
    assert "small · short · gelu" in out
    assert "GELU(erf) instead of ELU(alpha=1.0)" in out
    assert "✓ No fault found" in out
    assert "short: capturing gelu: " in err
    assert "reused" not in err
    _, _, err = parity("diagnose", "clean", "--case", "sh*")
    assert err.count("reused") == 2
    _, _, err = parity("run", "clean", "--no-diagnose")
    assert err.count("reused") == 2


def test_no_fault_in_a_configuration_exits_with_0(parity: Parity) -> None:
    assert parity("diagnose", "clean")[0] == 0


def test_the_json_of_a_configuration_has_an_entry_a_comparison(parity: Parity) -> None:
    status, out, err = parity("diagnose", "gelu", "clean", "--json", "-", "--config", "parity.toml")
    document = json.loads(out, parse_constant=pytest.fail)
    assert (status, err) == (1, "")
    assert (document["format"], document["subject"]) == ("parity-diagnoses", "small")
    found = {entry["candidate"]: entry for entry in document["comparisons"]}
    assert found["gelu"]["diagnosis"]["verdict"] == "explained"
    assert found["clean"]["exit_status"] == 0
    assert found["clean"]["undiagnosed"] == ""


def test_run_says_why_and_can_be_told_not_to(parity: Parity) -> None:
    assert "The difference is explained: 1 cause." in parity("run", "gelu")[1]
    assert "explained" not in parity("run", "gelu", "--no-diagnose")[1]


def test_a_program_that_fails_when_run_again_is_said(parity: Parity, tmp_path: Path) -> None:
    file = tmp_path / "parity.toml"
    file.write_text(file.read_text().replace("small_model:Program", "small_model:Stumbling", 1))
    status, out, _ = parity("diagnose", "gelu")
    assert status == 2
    assert "no diagnosis: the diagnosis failed with ValueError: the second run is not" in out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({1: "gone.h5"}, "gone.h5"),
        ({3: "gone.h5"}, "gone.h5"),
        ({3: "parity.toml"}, "parity.toml"),
        ({5: "small_model:Progam"}, "did you mean 'Program'?"),
        ({5: "no_such_module:Program"}, "no module named 'no_such_module'"),
        ({6: "--option=colour=red"}, "does not take these options"),
        ({6: "--option=fault=gelu"}, "does not reproduce the capture"),
        ({6: "--rename=a b"}, "->"),
        ({6: "gelu"}, "NAME belongs to a configuration"),
        ({6: "--case=x"}, "--case belongs to a configuration"),
        ({6: "--json=/proc/none/x.json"}, "cannot be written"),
    ],
)
def test_a_wrong_input_says_what_and_where(
    parity: Parity, pair: tuple[str, ...], change: dict[int, str], words: str
) -> None:
    given = dict(enumerate(pair)) | change
    status, out, err = parity("diagnose", *given.values())
    assert (status, out) == (2, "")
    assert words in err


@pytest.mark.parametrize("missing", ["reference", "candidate", "program"])
def test_two_captures_need_a_program(parity: Parity, pair: tuple[str, ...], missing: str) -> None:
    place = pair.index(f"--{missing}")
    status, _, err = parity("diagnose", *pair[:place], *pair[place + 2 :])
    assert status == 2
    assert f"--{missing} is missing" in err


def test_a_capture_without_a_case_cannot_be_run_again(
    parity: Parity, pair: tuple[str, ...], capture_of: Callable[..., Path]
) -> None:
    capture_of("bare.h5", {"net.0.act": np.ones(3)})
    status, _, err = parity("diagnose", "--reference", "bare.h5", *pair[2:])
    assert status == 2
    assert "bare.h5: does not say which case was run" in err
    assert "try: record it with `parity capture`" in err


def test_help_loads_nothing_heavy() -> None:
    script = (
        "from parity.cli import main\n"
        "try: main(['diagnose', '--help'])\n"
        "except SystemExit: pass\n"
        "import sys; print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )
    assert not {"torch", "h5py", "pandas", "matplotlib"} & set(done.stderr.split())
    assert "parity diagnose --reference" in done.stdout
