"""`parity coreml ...` and `parity precision`, as a user calls them."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from parity.cli.main import parity
from parity.errors import ConfigError, InputError

MODEL = """
import torch
from torch import nn
from torch.nn import functional


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(6, 8), nn.Linear(8, 6)

    def forward(self, x):
        return self.down(functional.gelu(self.up(x), approximate="tanh"))
"""

FOLDED = """
import torch
from torch import nn


def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2)).eval()
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "small_net.py").write_text(MODEL)
    np.save(tmp_path / "x.npy", np.linspace(-2, 2, 12, dtype=np.float32).reshape(2, 6))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def run(*arguments: str):
    return CliRunner().invoke(parity, arguments, standalone_mode=False)


def converted():
    done = run("coreml", "convert", "small_net:Net", "--array", "x=x.npy", "-o", "m.mlpackage")
    assert "3 outputs of modules have a value" in done.output
    assert done.return_value == 0


def test_convert_check_repair_and_bundle(here):
    converted()
    checking = ("coreml", "check", "small_net:Net", "m.mlpackage", "--array", "x=x.npy")
    found = run(*checking, "--repair", "fixed.mlpackage")
    assert found.return_value == 1
    assert "gelu.mode is EXACT; torch has TANH_APPROXIMATION, at 1 operation" in found.output
    assert "known: coremltools 9.0 reads" in found.output
    assert "compared: modules 3 of 3 (100 %), parameters 110 of 110 (100 %)" in found.output
    fixed = run("coreml", "check", "small_net:Net", "fixed.mlpackage", "--array", "x=x.npy")
    assert fixed.return_value == 0
    as_json = run(*checking, "--json", "-")
    assert json.loads(as_json.output)["causes"][0]["argument"] == "mode"
    bundled = run("coreml", "bundle", "fixed.mlpackage", "--array", "x=x.npy", "-o", "bundle")
    assert bundled.return_value == 0
    assert (here / "bundle" / "bundle.json").is_file()


def test_a_package_without_a_map_gets_one(here):
    converted()
    (here / "m.parity.json").unlink()
    given = ("small_net:Net", "m.mlpackage", "--array", "x=x.npy")
    checking = run("coreml", "check", *given)
    assert "parity coreml map" in str(checking.exception.hint)
    found = run("coreml", "map", *given)
    assert found.return_value == 0
    assert "3 of 3 operations of torch have a value in the program" in found.output
    assert "3 outputs of modules have a value" in found.output
    checked = run("coreml", "check", *given)
    assert "gelu.mode is EXACT; torch has TANH_APPROXIMATION, at 1 operation" in checked.output


def test_precision_prints_a_selector(here):
    found = run("precision", "small_net:Net", "--array", "x=x.npy", "--target", "1e-2")
    assert found.return_value == 0
    assert "op_selector=lambda op: op.name not in set()" in found.output


def test_the_table_of_operations(here):
    assert "unsupported" in run("coreml", "ops").output


def test_arrays_that_do_not_fit_say_what_does(here):
    given = ("coreml", "convert", "small_net:Net", "--array", "y=x.npy", "-o", "m.mlpackage")
    found = run(*given)
    assert isinstance(found.exception, InputError)
    assert "Net.forward takes x; got y" in str(found.exception)


def test_a_package_is_repaired_in_its_own_place(here):
    converted()
    checking = ("coreml", "check", "small_net:Net", "m.mlpackage", "--array", "x=x.npy")
    assert run(*checking, "--repair", "m.mlpackage").return_value == 1
    assert run(*checking).return_value == 0
    assert sorted(path.name for path in here.iterdir() if "mlpackage" in path.name) == [
        "m.mlpackage"
    ]


def test_what_is_known_of_a_fault_is_not_said_of_its_opposite(here):
    converted()
    checking = ("coreml", "check", "small_net:Net", "m.mlpackage", "--array", "x=x.npy")
    run(*checking, "--repair", "fixed.mlpackage")
    (here / "other_net.py").write_text(MODEL.replace("tanh", "none"))
    found = run("coreml", "check", "other_net:Net", "fixed.mlpackage", "--array", "x=x.npy")
    assert "gelu.mode is TANH_APPROXIMATION; torch has EXACT" in found.output
    assert "known:" not in found.output


def damaged(here, change):
    """A copy of the converted package, changed, with the map beside it."""
    converted()
    shutil.copytree(here / "m.mlpackage", here / "d.mlpackage")
    shutil.copy(here / "m.parity.json", here / "d.parity.json")
    change(here / "d.mlpackage" / "Data" / "com.apple.CoreML")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: shutil.rmtree(data / "weights"), "not a readable package"),
        (lambda data: _cut(data / "weights" / "weight.bin", 100), "its weights cannot be read"),
        (lambda data: _cut(data / "model.mlmodel", 200), "not a readable package"),
    ],
    ids=["no weights", "weights cut off", "program cut off"],
)
def test_a_damaged_package_is_an_error_that_says_so(here, change, says):
    damaged(here, change)
    found = run("coreml", "check", "small_net:Net", "d.mlpackage", "--array", "x=x.npy")
    assert isinstance(found.exception, InputError)
    assert says in str(found.exception)


def _cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((2, 6)), "the program takes float32, got float64"),
        (np.zeros((2, 5), np.float32), r"the program takes \[2, 6\], got \[2, 5\]"),
        (np.zeros((2, 6), np.int64), "the program takes float32, got int64"),
    ],
    ids=["precision", "shape", "type"],
)
def test_an_array_that_does_not_fit_is_an_error(here, array, says):
    converted()
    np.save(here / "y.npy", array)
    found = run("coreml", "check", "small_net:Net", "m.mlpackage", "--array", "x=y.npy")
    assert isinstance(found.exception, InputError)
    assert re.search(says, str(found.exception))


@pytest.mark.parametrize("target", ["0", "-1", "nan", "inf"])
def test_a_target_that_is_no_error_is_refused(here, target):
    found = run("precision", "small_net:Net", "--array", "x=x.npy", "--target", target)
    assert isinstance(found.exception, ConfigError)


@pytest.mark.parametrize("given", [("--bundle", "b"), ("--results", "r")])
def test_half_of_what_a_device_did_is_refused(here, given):
    converted()
    found = run("coreml", "check", "small_net:Net", "m.mlpackage", "--array", "x=x.npy", *given)
    assert isinstance(found.exception, ConfigError)
    assert "bundle and results" in str(found.exception)


@pytest.mark.parametrize("option", ["bundle=b", "device=iphone", "team=T"])
def test_options_of_another_runner_are_refused(here, option):
    given = ("--option", "package=m.mlpackage", "--option", option, "--array", "x=x.npy")
    found = run("capture", "--backend", "coreml", *given, "-o", "c.h5")
    assert isinstance(found.exception, ConfigError)


def test_reports_say_which_module_the_program_has_no_value_for(here):
    (here / "folded_net.py").write_text(FOLDED)
    np.save(here / "signal.npy", np.linspace(-2, 2, 12, dtype=np.float32).reshape(1, 1, 12))
    program = ("folded_net:make", "--array", "input=signal.npy")
    run("coreml", "convert", *program, "-o", "f.mlpackage")
    run("capture", "--option", f"program={program[0]}", *program[1:], "-o", "ref.h5")
    given = ("--option", "package=f.mlpackage", *program[1:])
    run("capture", "--backend", "coreml", *given, "-o", "f.h5")
    found = run("diff", "ref.h5", "f.h5", "--json", "-")
    assert any(
        "has not recorded 0#0 (the converter left no value" in note
        for note in json.loads(found.output)["notes"]
    )
