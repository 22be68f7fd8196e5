"""To a device and back: the bundle, a harness that follows BUNDLE.md, and what is made of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from parity.cli.main import parity
from parity.errors import BackendError, InputError
from parity.store import open_capture
from parity_coreml.bundle import read_bundle, write_bundle
from parity_coreml.check import check
from parity_coreml.checked_text import checked_to_text
from parity_coreml.convert import convert
from parity_coreml.instrument import exposable
from parity_coreml.matrix import matrix, matrix_to_text
from parity_coreml.package import open_package
from parity_coreml.runners import DeviceRunner, ResultsRunner
from parity_coreml.runners.device import predict_batches


class Platform:
    """What Core ML is to Python: `predict` gives the declared outputs, in float32 as it pleases."""

    def __init__(self, path: Path, nil: str = "") -> None:
        self._package, self._nil = open_package(path), nil

    def make_state(self) -> dict[str, torch.Tensor]:
        return self._package.evaluator().state()

    def predict(self, inputs, state=None):
        evaluator = self._package.evaluator()
        made = evaluator.run(inputs, state)
        arrays = evaluator.arrays(made)
        return {name: None if name == self._nil else arrays[name] for name in made.outputs}


def harness(bundle: Path, results: Path, *, nil: str = "", units: str = "cpuOnly") -> None:
    """What the Swift harness does, after BUNDLE.md and nothing else."""
    said = json.loads((bundle / "bundle.json").read_text())
    outputs = {each["name"]: each for each in said["outputs"]}
    written: dict[tuple[str, int], str] = {}
    packages, tensors = [], []
    for index, package in enumerate(said["packages"]):
        model, missing = Platform(bundle / package["path"], nil), []
        state = model.make_state() if said["states"] else None
        for step in range(said["steps"]):
            inputs = {
                each["name"]: np.load(bundle / each["files"][step]) for each in said["inputs"]
            }
            made = model.predict(inputs, state)
            for name in package["outputs"]:
                if made[name] is None:
                    missing.append(name)
                    continue
                output = outputs[name]
                files = [
                    f"{tap['stem']}.call{step * tap['calls'] + tap['call']}.npy"
                    for tap in output["taps"]
                ] or [f"values/{output['number']:06}.step{step}.npy"]
                if (name, step) in written:
                    files = [f"again/{index:03}/{output['number']:06}.step{step}.npy"]
                written[name, step] = files[0]
                for file in files:
                    (results / file).parent.mkdir(parents=True, exist_ok=True)
                    np.save(results / file, made[name])
                tensors.append({"name": name, "step": step, "package": index, "file": files[0]})
        times = [[0.002] * said["steps"]] * (1 + said["repeat"])
        packages.append({"path": package["path"], "error": None, "load_s": 0.1,
                         "missing": missing, "predict_s": times})  # fmt: skip
    device = {"system": "iOS", "system_version": "18.1", "model": "iPhone16,1", "chip": "A17 Pro"}
    document = {
        "format": "parity-coreml-results", "version": 1, "bundle": said["id"],
        "runner": "a harness in Python", "compute_units": units, "device": device,
        "packages": packages, "tensors": tensors,
    }  # fmt: skip
    (results / "results.json").write_text(json.dumps(document))


@pytest.fixture
def bundled(block, tmp_path):
    step = {"x": block.args[0].numpy()}
    made = write_bundle(block.package, block.sidecar, [step], tmp_path / "bundle", batch=3)
    (tmp_path / "results").mkdir()
    return tmp_path, made


def test_a_bundle_says_what_lies_in_it(bundled, block):
    folder, made = bundled
    assert read_bundle(folder / "bundle") == made
    assert [each.role for each in made.packages] == ["untouched", "instrumented", "instrumented"]
    for package in made.packages:
        function = open_package(folder / "bundle" / package.path).function()
        assert tuple(each.name for each in function.outputs) == package.outputs
    assert {each.name for each in made.outputs} == {
        each.name for each in exposable(block.package)[0]
    }


def test_indices_go_to_the_device_in_the_type_that_it_takes(tmp_path):
    tokens = torch.tensor([[1, 3, 2]])
    sidecar = convert(torch.nn.Embedding(4, 2).eval(), (tokens,), tmp_path / "m.mlpackage")
    step = {sidecar.inputs[0]: tokens.numpy()}
    made = write_bundle(open_package(tmp_path / "m.mlpackage"), sidecar, [step], tmp_path / "b")
    (given,) = made.inputs
    assert given.dtype == "int32"
    assert np.load(tmp_path / "b" / given.files[0]).dtype == np.int32
    step = {sidecar.inputs[0]: tokens.numpy() + 2**32}
    with pytest.raises(InputError, match="got int64 with numbers that it cannot hold"):
        write_bundle(open_package(tmp_path / "m.mlpackage"), sidecar, [step], tmp_path / "b")


def test_results_come_back_as_a_third_side_and_as_captures(bundled, block, monkeypatch):
    folder, made = bundled
    monkeypatch.chdir(folder)
    harness(folder / "bundle", folder / "results")
    runner = ResultsRunner("bundle", "results")
    ran = runner.run(block.package, ())
    assert not ran.missing
    assert set(ran.steps[0]) == {each.name for each in made.outputs}
    assert set(ran.again[0]) == set(made.packages[0].outputs)
    found = check(block.module, [block.args], block.path, ran)
    assert not found.runtime
    assert "on the device: modules 8 of 8 (100 %)" in checked_to_text(found)
    run = CliRunner().invoke
    done = run(parity, ["import", "results/taps", "-o", "taps.h5"], standalone_mode=False)
    assert done.return_value == 0
    with open_capture("taps.h5") as capture:
        assert capture["up"].output[0].shape == (1, 3, 32)
        assert len(capture["act"].output) == 2
    given = ("--option", "bundle=bundle", "--option", "results=results", "--option", "values=true")
    done = run(
        parity, ["capture", "--backend", "coreml", *given, "-o", "all.h5"], standalone_mode=False
    )
    assert done.return_value == 0, done.output
    with open_capture("all.h5") as capture:
        assert capture["up"].output[0].shape == (1, 3, 32)
        assert any(str(record.key).startswith("coreml.gelu") for record in capture)


def test_results_on_other_numbers_are_refused(bundled, block):
    folder, _ = bundled
    harness(folder / "bundle", folder / "results")
    runner, x = ResultsRunner(folder / "bundle", folder / "results"), block.args[0].numpy()
    assert runner.run(block.package, [{"x": x}]).steps
    with pytest.raises(InputError, match="the device was given other numbers for x, step 0"):
        runner.run(block.package, [{"x": x + 1}])
    with pytest.raises(InputError, match="the bundle has 1 steps, the arrays have 2"):
        runner.run(block.package, [{"x": x}] * 2)


def test_a_nil_is_reported_and_never_skipped(bundled, block):
    folder, _ = bundled
    harness(folder / "bundle", folder / "results", nil="gelu")
    ran = ResultsRunner(folder / "bundle", folder / "results").run(block.package, ())
    assert [(each.name, each.reason) for each in ran.missing] == [
        ("gelu", "the platform gave nil for it")
    ]
    text = checked_to_text(check(block.module, [block.args], block.path, ran))
    assert "the device gave nothing for: gelu (the platform gave nil for it)" in text


def moved(results: Path, name: str, by: float) -> None:
    """Move what the instrumented packages gave for an output, in the first of them only."""
    said = json.loads((results / "results.json").read_text())
    first = next(each for each in said["tensors"] if each["name"] == name and each["package"] == 1)
    np.save(results / first["file"], np.load(results / first["file"]) + by)


def test_an_output_that_moves_with_further_ones_is_reported(bundled, block, monkeypatch):
    folder, made = bundled
    monkeypatch.chdir(folder)
    harness(Path("bundle"), Path("results"))
    assert not ResultsRunner("bundle", "results").run(block.package, ()).changed
    (name, *_) = made.packages[0].outputs
    moved(Path("results"), name, 0.5)
    ran = ResultsRunner("bundle", "results").run(block.package, ())
    assert list(ran.changed) == [name]
    said = f"moved on the device when further values came out: {name} by"
    assert said in checked_to_text(check(block.module, [block.args], block.path, ran))
    moved(Path("results"), name, np.nan)
    ran = ResultsRunner("bundle", "results").run(block.package, ())
    assert np.isnan(ran.changed[name])
    given = ("--option", "bundle=bundle", "--option", "results=results")
    CliRunner().invoke(parity, ["capture", "--backend", "coreml", *given, "-o", "d.h5"])
    with open_capture("d.h5") as capture:
        assert "moved when further values came out: " in capture.meta.extra["remarks"]


def test_states_and_steps_go_to_the_device(counter, tmp_path):
    steps = [{"x": np.full((1, 1, 8), value, np.float32)} for value in (1.0, -2.0, 3.0)]
    made = write_bundle(counter.package, counter.sidecar, steps, tmp_path / "bundle")
    assert made.steps == 3
    assert [each.name for each in made.states] == ["cache"]
    (tmp_path / "results").mkdir()
    harness(tmp_path / "bundle", tmp_path / "results")
    ran = ResultsRunner(tmp_path / "bundle", tmp_path / "results").run(counter.package, ())
    tensors = [(torch.from_numpy(step["x"]),) for step in steps]
    found = check(counter.module, tensors, counter.path, ran)
    assert not found.runtime
    assert found.holds
    (cell, on_device) = matrix(counter.module, tensors, [counter.path], {str(counter.path): [ran]})
    assert max(cell.error, on_device.error) < 1e-3
    assert on_device.seconds == pytest.approx(0.002)
    assert "A17 Pro (cpuOnly)" in matrix_to_text([cell, on_device])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bundle": "0000"}, "the results are of the bundle 0000"),
        ({"version": 2}, "of version 2; this reads version 1"),
        ({"tensors": [{"name": "x", "step": 9, "file": "a"}]}, "step 9 of x; the bundle has 1"),
        ({"tensors": [{"name": "x", "step": 0, "file": "../a.npy"}]}, "not a file of this folder"),
        ({"tensors": [{"name": "x", "step": 0, "file": "results.json"}]}, "not a readable .npy"),
        ({"tensors": 3}, "not a description of results"),
    ],
)
def test_hostile_results_are_refused(bundled, block, change, says):
    folder, _ = bundled
    harness(folder / "bundle", folder / "results")
    path = folder / "results" / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=says):
        ResultsRunner(folder / "bundle", folder / "results").run(block.package, ())


def test_an_unfinished_folder_is_refused(bundled):
    folder, _ = bundled
    with pytest.raises(InputError, match="the harness did not finish"):
        ResultsRunner(folder / "bundle", folder / "results")


def test_a_folder_of_somebody_else_is_left_alone(block, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="holds something that is no bundle"):
        write_bundle(block.package, block.sidecar, [{"x": block.args[0].numpy()}], tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_core_ml_runs_on_a_mac_only(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Linux")
    with pytest.raises(BackendError, match="Core ML runs on a Mac; this is Linux"):
        DeviceRunner()


def test_the_batches_of_a_mac_cover_everything(block):
    steps = [{"x": block.args[0].numpy()}]
    made, _, missing, again = predict_batches(block.package, steps, None, Platform, 3)
    assert set(made[0]) == {each.name for each in exposable(block.package)[0]}
    assert set(again[0]) == {each.name for each in block.package.function().outputs}
    assert not missing


def test_a_platform_that_fails_is_a_finding(block):
    def load(path: Path) -> Platform:
        if path == block.path:
            return Platform(path, nil="linear_1")
        raise RuntimeError("E5RT: compilation failed")

    made, _, missing, _ = predict_batches(
        block.package, [{"x": block.args[0].numpy()}], None, load, 99
    )
    reasons = {each.name: each.reason for each in missing}
    assert set(made[0]) == {"relu_1"}
    assert reasons["gelu"] == "prediction failed: E5RT: compilation failed"
    assert "linear_1" in reasons
