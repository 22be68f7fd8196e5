"""`parity capture` and `parity import`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parity.cli.main import main
from parity.store import open_capture
from parity.tensors import Role

Result = tuple[int, str, str]
Parity = Callable[..., Result]

PORT = '''
import ctypes
import time

import numpy as np

from parity.backends import Capabilities
from parity.tensors import NoiseDraw, Role


class Port:
    """Adds noise, in two phases."""

    name = "port"

    def __init__(self, ending="none", factor=1):
        self.ending, self.factor = ending, factor

    def capabilities(self):
        return Capabilities()

    def capture(self, case, plan, sink):
        sink.describe({"framework": "none"})
        noise = case.noise[0].values if case.noise else np.full(2, case.seed, np.float32)
        sink.noise(NoiseDraw(noise, "normal"))
        x = case.arrays.get("x", np.ones(2, np.float32)) * self.factor
        for phase in ("prompt", "generate"):
            for call in range(3):
                for path in ("encoder", "decoder"):
                    x = x + noise + case.inputs.get("bias", 0)
                    sink.record(path, x, role=Role.OUTPUT, phase=phase, call=call, step=call)
        sink.record("encoder", x, role=Role.INPUT, phase="generate", call=0)
        if self.ending == "segfault":
            print("about to fall", flush=True)
            ctypes.string_at(0)
        if self.ending == "hang":
            time.sleep(3600)
        if self.ending == "raise":
            raise ValueError("kernel size 3 is odd")
'''


@pytest.fixture
def parity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Parity:
    """Runs the command line in a folder that holds a port."""
    (tmp_path / "cli_port.py").write_text(PORT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("cli_port", None)

    def call(*arguments: object) -> Result:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return call


def capture(parity: Parity, *arguments: object, backend: str = "cli_port:Port") -> Result:
    return parity("capture", "--backend", backend, "--no-isolate", "-o", "run.h5", *arguments)


def keys() -> list[str]:
    with open_capture("run.h5") as found:
        return [str(record.key) for record in found.records]


def test_capture_says_what_it_wrote(parity: Parity) -> None:
    status, out, err = capture(parity)
    assert status == 0
    assert out.startswith("run.h5: 13 tensors, ")
    assert err == ""
    assert len(keys()) == 13


def test_capture_in_a_process_of_its_own_by_default(parity: Parity) -> None:
    status, out, _ = parity("capture", "--backend", "cli_port:Port", "-o", "run.h5")
    assert (status, out.partition(",")[0]) == (0, "run.h5: 13 tensors")
    with open_capture("run.h5") as found:
        assert found.complete


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--include", "enc*", "--phase", "prompt", "--calls", "1"], ["encoder:output@prompt#1"]),
        (["--exclude", "enc*", "--phase", "prompt", "--steps", ":2"],
         ["decoder:output@prompt#0", "decoder:output@prompt#1"]),
        (["--role", "input"], ["encoder:input@generate#0"]),
        (["--include", "decoder", "--calls", "2:9", "--phase", "generate", "--phase", "prompt"],
         ["decoder:output@prompt#2", "decoder:output@generate#2"]),
    ],
)  # fmt: skip
def test_capture_selects(parity: Parity, flags: list[str], expected: list[str]) -> None:
    assert capture(parity, *flags)[0] == 0
    assert keys() == expected


def test_capture_keeps_as_much_as_the_tier_says(parity: Parity) -> None:
    capture(parity, "--tier", "digest")
    with open_capture("run.h5") as found:
        assert {record.tier for record in found.records} == {"digest"}


@pytest.mark.parametrize(
    "flags", [["--calls", "a:b"], ["--steps", "1:x"]], ids=lambda flags: flags[0]
)
def test_a_malformed_range(parity: Parity, flags: list[str]) -> None:
    status, _, err = capture(parity, *flags)
    assert status == 2
    assert f"error: {flags[0]}: not a range: '{flags[1]}'\n  try: write the first" in err


def test_the_case_from_flags(parity: Parity) -> None:
    np.save("x.npy", np.full(2, 10, np.float32))
    flags = ["--array", "x=x.npy", "--input", "bias=0.5", "--input", "text=Hi: there", "--seed", 3]
    assert capture(parity, *flags, "--option", "factor=2")[0] == 0
    with open_capture("run.h5") as found:
        assert found.read(found.records[0]).tolist() == [23.5, 23.5]
        assert found.case is not None
        assert found.case.inputs == {"bias": 0.5, "text": "Hi: there"}
        assert found.case.seed == 3


@pytest.mark.parametrize("form", ["toml", "json"])
def test_the_case_from_a_file_with_flags_before_it(parity: Parity, form: str) -> None:
    Path("cases").mkdir()
    np.save("cases/x.npy", np.full(2, 10, np.float32))
    case = {"name": "long", "seed": 1, "inputs": {"bias": 1}, "arrays": {"x": "x.npy"}}
    text = json.dumps(case)
    if form == "toml":
        text = 'name = "long"\nseed = 1\ninputs = {bias = 1}\narrays = {x = "x.npy"}\n'
    Path(f"cases/short.{form}").write_text(text)
    assert capture(parity, "--case", f"cases/short.{form}", "--input", "bias=4")[0] == 0
    with open_capture("run.h5") as found:
        assert found.meta.case_name == "long"
        assert found.read(found.records[0]).tolist() == [15, 15]


def test_the_arrays_of_a_case_from_one_file(parity: Parity) -> None:
    np.savez("all.npz", x=np.full(2, 10, np.float32))
    Path("short.toml").write_text('arrays = "all.npz"')
    assert capture(parity, "--case", "short.toml")[0] == 0
    with open_capture("run.h5") as found:
        assert found.meta.case_name == "short"
        assert found.read(found.records[0]).tolist() == [10, 10]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "name = ", "a.toml: cannot be read as a case"),
        ("a.json", "[]", "a.json: a case is an object with the key `name`"),
        ("a.toml", "inptus = {}", "a.toml: unknown key 'inptus'"),
        ("a.toml", "inputs = 3", "a.toml: `inputs` must be a table and `seed` a whole number"),
        ("a.toml", "seed = 1.5", "a.toml: `inputs` must be a table and `seed` a whole number"),
        ("a.toml", 'arrays = {x = "b.npy"}', "b.npy: cannot be read: No such file"),
        ("a.toml", 'arrays = "a.toml"', "a.toml: is no file of numbers"),
        ("a.toml", 'arrays = "d.npy"', "d.npy: holds one array"),
        ("a.toml", 'arrays = {x = "c.npz"}', "c.npz: holds several arrays"),
    ],
)
def test_a_case_file_that_cannot_be_used(
    parity: Parity, name: str, text: str, message: str
) -> None:
    np.savez("c.npz", x=np.ones(1))
    np.save("d.npy", np.ones(1))
    Path(name).write_text(text)
    status, _, err = capture(parity, "--case", name)
    assert status == 2
    assert message in err


def test_noise_is_replayed_from_a_capture(parity: Parity) -> None:
    capture(parity, "--seed", 7)
    Path("run.h5").rename("reference.h5")
    assert capture(parity, "--seed", 1, "--noise", "reference.h5")[0] == 0
    with open_capture("run.h5") as found:
        assert found.noise[0].values.tolist() == [7, 7]
        assert found.read(found.records[0]).tolist() == [8, 8]


def test_noise_from_a_capture_without_any(parity: Parity) -> None:
    np.save("a.npy", np.ones(1))
    parity("import", ".", "-o", "reference.h5")
    status, _, err = capture(parity, "--noise", "reference.h5")
    assert status == 2
    assert "reference.h5: holds no random draws to replay" in err


@pytest.mark.parametrize("flag", ["--option", "--input", "--array"])
def test_a_malformed_assignment(parity: Parity, flag: str) -> None:
    status, _, err = capture(parity, flag, "text")
    assert status == 2
    assert f"error: {flag}: not NAME=VALUE: 'text'" in err


def test_a_segfault_exits_with_2_and_says_what_is_left(parity: Parity) -> None:
    flags = ["--backend", "cli_port:Port", "--option", "ending=segfault", "-o", "run.h5"]
    status, out, err = parity("capture", *flags)
    assert status == 2
    assert out == ""
    assert "about to fall\n" in err
    assert "in capture" in err  # the stack
    assert (
        "error: the candidate did not finish: its process died of SIGSEGV (it touched memory that "
        "is not its own), after 13 taps, the last of them encoder:input@generate#0; the 13 tensors "
        "recorded until then are in run.h5\n  try: parity show run.h5"
    ) in err
    assert len(keys()) == 13


def test_a_hang_is_ended(parity: Parity) -> None:
    flags = ["--backend", "cli_port:Port", "--option", "ending=hang", "-o", "run.h5"]
    status, out, err = parity("capture", *flags, "--timeout", 3, "--json", "-")
    assert status == 2
    outcome = json.loads(out)
    assert outcome["ending"] == "timeout"
    assert outcome["records"] == 13
    assert outcome["last"] == "encoder:input@generate#0"
    assert "no end after 3 s" in err


def test_an_old_capture_is_not_taken_for_what_a_failed_run_left(parity: Parity) -> None:
    assert capture(parity)[0] == 0
    status, _, err = parity("capture", "--backend", "cli_prot:Port", "-o", "run.h5")
    assert status == 2
    assert "no module named 'cli_prot'" in err
    assert "recorded until then" not in err


def test_an_exception_here_names_its_place(parity: Parity) -> None:
    status, _, err = capture(parity, "--option", "ending=raise")
    assert status == 2
    assert "in capture: the candidate raised ValueError: kernel size 3 is odd" in err
    assert "Traceback" not in err


def test_json_on_the_standard_output_is_clean(parity: Parity) -> None:
    status, out, err = capture(parity, "--json", "-")
    outcome = json.loads(out)
    assert (status, err) == (0, "")
    assert outcome["ending"] == "ok"
    assert outcome["records"] == 13
    assert outcome["file"] == "run.h5"


def test_json_into_a_file_comes_beside_the_words(parity: Parity) -> None:
    _, out, _ = capture(parity, "--json", "outcome.json")
    assert out.startswith("run.h5: 13 tensors")
    assert json.loads(Path("outcome.json").read_text())["records"] == 13


def test_import_makes_a_capture_of_a_folder(parity: Parity) -> None:
    Path("dumps").mkdir()
    for call in range(3):
        np.save(f"dumps/decoder.call{call}.npy", np.full((2, 3), call, np.float32))
    np.save("dumps/weights.npy", np.ones(1))
    Path("layout.toml").write_text(
        "rename = [{match = 'decoder', to = 'mimi.decoder'}]\n"
        "permute = [{path = 'decoder', axes = [1, 0]}]\n"
    )
    flags = ["--layout", "layout.toml", "--ignore", "weights*", "--calls", "1:3"]
    status, out, _ = parity("import", "dumps", "-o", "run.h5", *flags)
    assert status == 0
    assert out.startswith("run.h5: 2 tensors")
    with open_capture("run.h5") as found:
        assert [record.key.path for record in found.records] == ["mimi.decoder"] * 2
        assert [record.key.call for record in found.records] == [1, 2]
        assert found.records[0].key.role is Role.OUTPUT
        assert found.read(found.records[1]).shape == (3, 2)
        assert found.meta.case_name == "dumps"


def test_import_takes_the_further_options_of_the_backend(parity: Parity) -> None:
    Path("dumps").mkdir()
    np.save("dumps/7-decoder.npy", np.ones(2))
    pattern = r"(?P<call>\d+)-(?P<path>\w+)"
    flags = ["--pattern", pattern, "--option", "role=tap", "--case", "long"]
    assert parity("import", "dumps", "-o", "run.h5", *flags)[0] == 0
    assert keys() == ["decoder:tap#7"]


def test_import_of_nothing_is_an_error(parity: Parity) -> None:
    status, _, err = parity("import", "nowhere", "-o", "run.h5")
    assert status == 2
    assert "error: nowhere: no such file or folder\n  try: check the path" in err


def test_an_import_of_nothing_costs_no_file_and_leaves_none(parity: Parity) -> None:
    Path("dumps").mkdir()
    np.save("dumps/encoder.npy", np.arange(4.0))
    assert parity("import", "dumps", "-o", "run.h5")[0] == 0
    before = Path("run.h5").read_bytes()
    assert parity("import", "dmups", "-o", "run.h5")[0] == 2
    assert Path("run.h5").read_bytes() == before
    assert parity("import", "dmups", "-o", "other.h5")[0] == 2
    assert sorted(file.name for file in Path().glob("*.h5*")) == ["run.h5"]
    assert not list(Path().glob(".*.new*"))

    np.save("dumps/encoder.npy", np.arange(5.0))
    assert parity("import", "dumps", "-o", "run.h5")[0] == 0
    with open_capture("run.h5") as capture:
        assert capture.records[0].spec.shape == (5,)
