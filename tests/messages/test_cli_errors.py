"""Every error of the command line, as one file to read: what is wrong, where, what to do."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from parity.cli.main import main

CaptureOf = Callable[..., Path]
Reviewed = Callable[[str, Mapping[str, str]], None]

SUBJECT = """
import numpy as np
from parity.backends import Capabilities
from parity.tensors import Case, Role

class Toy:
    def __init__(self, *, fault=""):
        self.name, self.fault = "toy", fault

    def capabilities(self):
        return Capabilities()

    def capture(self, case, plan, sink):
        if self.fault == "raises":
            raise ValueError("no such layer")
        sink.record("layer", np.arange(8.0), role=Role.OUTPUT)

def no_cases():
    return [1]

number = 3
"""

CONFIG = """
[subject]
name = "toy"

[[cases]]
name = "one"

[reference]
backend = "messages_toy:Toy"
isolate = false

[candidates.port]
backend = "messages_toy:Toy"
isolate = false

[report]
formats = ["json"]
"""


@pytest.fixture
def error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command line, which must refuse; the call and what it said, without this machine."""

    def call(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert stop.value.code == 2, (arguments, said)
        shown = " ".join(str(argument) for argument in arguments)
        lines = [line for line in said.err.splitlines() if not line.startswith("✓")]
        text = "\n".join([f"$ parity {shown}", *lines]).replace(str(tmp_path), "~").rstrip()
        # Which backends and formats there are is not what is reviewed here.
        return re.sub(r"(?<=there are: ).*|(?<=one of html, ).*", "...", text)

    return call


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "messages_toy.py").write_text(SUBJECT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def configured(folder: Path, changes: Mapping[str, str]) -> None:
    """A configuration in which some text is replaced by other text; `extra` is added."""
    text = CONFIG + changes.get("extra", "")
    for old, new in changes.items() - {("extra", changes.get("extra"))}:
        assert old in text
        text = text.replace(old, new)
    (folder / "parity.toml").write_text(text)


def unusable_files(folder: Path, capture_of: CaptureOf) -> Iterator[tuple[str, Sequence[object]]]:
    good = capture_of("good.h5", {"layer": np.arange(8.0)})
    (folder / "text.h5").write_text("not HDF5")
    (folder / "cut.h5").write_bytes(good.read_bytes()[: good.stat().st_size // 3])
    yield "no such capture", ["diff", "missing.h5", good.name]
    yield "a folder for a capture", ["diff", ".", good.name]
    yield "a text for a capture", ["diff", "text.h5", good.name]
    yield "a truncated capture", ["diff", "cut.h5", good.name]
    yield "a report over a capture", ["diff", good.name, good.name, "--json", good.name]
    yield (
        "a report where there is no folder",
        ["diff", good.name, good.name, "--markdown", "/proc/no/x"],
    )
    yield "no such tap", ["show", good.name, "lair"]
    yield "no such call", ["show", good.name, "layer", "--call", 7]


def calls() -> Iterator[tuple[str, Sequence[object]]]:
    yield "a misspelt command", ["dif", "a.h5", "b.h5"]
    yield "an argument too few", ["diff", "good.h5"]
    yield "an option that there is not", ["diff", "good.h5", "good.h5", "--jsn", "x"]
    yield "a misspelt preset", ["diff", "good.h5", "good.h5", "--preset", "fp23"]
    yield "a rule without bounds", ["diff", "good.h5", "good.h5", "--rule", "layer"]
    yield "a misspelt bound", ["diff", "good.h5", "good.h5", "--rule", "layer: max_abz=1"]
    yield "a bound that is no number", ["diff", "good.h5", "good.h5", "--rule", "*: max_abs=x"]
    yield "a rename without an arrow", ["diff", "good.h5", "good.h5", "--rename", "a b"]
    yield "a range that is none", ["import", "dumps", "-o", "x.h5", "--calls", "all"]
    yield "a case file that is none", ["capture", "--case", "text.h5", "-o", "x.h5"]
    yield "an input without a value", ["capture", "--input", "text", "-o", "x.h5"]
    yield "an array that is none", ["capture", "--array", "x=text.h5", "-o", "x.h5"]
    yield "a misspelt backend", ["capture", "--no-isolate", "--backend", "torhc", "-o", "x.h5"]
    yield (
        "a backend without its program",
        ["capture", "--no-isolate", "--backend", "torch", "-o", "x.h5"],
    )
    yield (
        "a module that there is not",
        ["capture", "--no-isolate", "--backend", "no_module:X", "-o", "x.h5"],
    )
    yield "a folder that there is not", ["import", "no-dumps", "-o", "x.h5"]
    yield "a folder without tensors", ["import", "dumps", "-o", "x.h5"]
    yield "a pickle among the dumps", ["import", "pickled", "-o", "x.h5"]
    yield "calibration of two things", ["calibrate", "good.h5", "--config", "parity.toml"]
    yield "calibration without a program", ["calibrate", "good.h5"]
    yield "reports as a command", ["report", "good.h5", "good.h5"]
    yield "diagnosis of captures as arguments", ["diagnose", "good.h5", "scaled.h5"]
    yield "diagnosis of one capture", ["diagnose", "--reference", "good.h5"]


def configurations() -> Iterator[tuple[str, Mapping[str, str], Sequence[object]]]:
    yield "a misspelt key", {"extra": "[tolerances]\n"}, []
    yield (
        "a key of another table",
        {"isolate = false": 'isolate = false\nallow_missing = ["x"]'},
        [],
    )
    yield "a value of the wrong type", {"isolate = false": 'isolate = "no"'}, []
    yield "no TOML", {"extra": "[gate\n"}, []
    yield "no case", {'[[cases]]\nname = "one"': ""}, []
    yield "two cases of one name", {"extra": '[[cases]]\nname = "one"\n'}, []
    yield (
        "no candidate",
        {'[candidates.port]\nbackend = "messages_toy:Toy"\nisolate = false': ""},
        [],
    )
    yield "no such candidate", {}, ["prot"]
    yield "no such case", {}, ["--case", "two"]
    yield "no such report", {'["json"]': '["pdf"]'}, []
    yield "no such preset", {"extra": '[tolerance]\npreset = "fp23"\n'}, []
    yield (
        "no such bound",
        {"extra": '[[tolerance.rules]]\ntap = "*"\nbounds = { max_abz = 1 }\n'},
        [],
    )
    yield "no such folder", {'name = "toy"': 'name = "toy"\npython_path = ["src"]'}, []
    yield (
        "cases that are none",
        {'name = "toy"': 'name = "toy"\ncases = "messages_toy:no_cases"'},
        [],
    )
    yield (
        "cases that are no function",
        {'name = "toy"': 'name = "toy"\ncases = "messages_toy:number"'},
        [],
    )
    yield (
        "an alignment that there is not",
        {"[candidates.port]": '[candidates.port]\nalign = "some"'},
        [],
    )
    yield (
        "an entry without a last day",
        {"extra": '[[gate.expected]]\nreason = "#12"\n'},
        ["--gate"],
    )
    yield (
        "an entry without a reason",
        {"extra": '[[gate.skip]]\nreason = ""\nuntil = 2030-01-01\n'},
        ["--gate"],
    )
    yield "a coverage in per cent", {"extra": "[gate]\nmin_coverage = 95\n"}, ["--gate"]
    yield "a gate's option without the gate", {}, ["--junit", "x.xml"]
    yield "golden captures without a folder", {}, ["--create-golden"]


def test_errors_of_the_command_line(
    reviewed: Reviewed, error: Callable[..., str], folder: Path, capture_of: CaptureOf
) -> None:
    found = {"no configuration": error("run")}
    for what, arguments in unusable_files(folder, capture_of):
        found[what] = error(*arguments)
    (folder / "dumps").mkdir()
    (folder / "pickled").mkdir()
    np.save(folder / "pickled" / "layer.npy", np.array([{}], object), allow_pickle=True)
    found |= {what: error(*arguments) for what, arguments in calls()}
    reviewed("cli_errors.txt", found)


def test_errors_of_a_configuration(
    reviewed: Reviewed, error: Callable[..., str], folder: Path
) -> None:
    found = {}
    for what, changes, arguments in configurations():
        configured(folder, changes)
        found[what] = error("run", *arguments)
    configured(folder, {})
    (folder / "parity-baseline.json").write_text('{"format": "other"}')
    found["a baseline that is none"] = error("run", "--gate")
    reviewed("configuration_errors.txt", found)


@pytest.mark.parametrize("name", ["cli_errors.txt", "configuration_errors.txt"])
def test_every_error_says_what_to_do(name: str) -> None:
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    said = re.split(r"={100}\n.*\n={100}\n", text)[1:]
    silent = [one for one in said if "try: " not in one and "--help" not in one]
    assert silent == []
