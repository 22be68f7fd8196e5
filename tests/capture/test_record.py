"""A whole recording, from the run to the file."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import parity
from parity.capture.environment import ENVIRONMENT_VARIABLES, environment
from parity.errors import CaptureFileError
from parity.tensors import Case


class Sampler(nn.Module):
    """Draws noise, feeds itself, and keeps a state."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, steps: int) -> torch.Tensor:
        for _ in range(steps):
            x = torch.tanh(self.step(x)) + nn.init.normal_(torch.empty(4), std=0.1)
        return x


def run(model: nn.Module, seed: int = 3) -> torch.Tensor:
    torch.manual_seed(seed)
    with torch.no_grad():
        return model(torch.ones(4), 5)


def fingerprint(path: Path) -> list[tuple]:
    with parity.open(path) as capture:
        return [
            (str(r.key), r.spec, r.order, r.step, r.source, r.producers, r.digest, r.statistics)
            for r in capture.records
        ] + [(draw.values.tobytes(), draw.distribution, draw.site) for draw in capture.noise]


@pytest.mark.parametrize("options", [{}, {"operations": True}, {"inputs": False, "leaves": True}])
def test_two_captures_of_one_seeded_run_are_identical(tmp_path, options) -> None:
    model, paths = Sampler(), [tmp_path / "one.h5", tmp_path / "two.h5"]
    for path in paths:
        with parity.record(path, {"m": model}, **options):
            run(model)
    assert fingerprint(paths[0]) == fingerprint(paths[1])
    with parity.record(paths[1], {"m": model}, **options):
        run(model, seed=4)
    assert fingerprint(paths[0]) != fingerprint(paths[1])


def test_a_tape_from_a_file_repeats_the_run(tmp_path) -> None:
    model = Sampler()
    with parity.record(tmp_path / "one.h5", model):
        first = run(model)
    with parity.open(tmp_path / "one.h5") as capture:
        tape = capture.noise
    with parity.record(tmp_path / "two.h5", model, noise=tape):
        assert torch.equal(run(model, seed=99), first)
    with parity.record(tmp_path / "three.h5", model, noise=tmp_path / "one.h5"):
        assert torch.equal(run(model, seed=99), first)
    assert fingerprint(tmp_path / "one.h5") == fingerprint(tmp_path / "two.h5")


def test_the_file_says_what_was_run_and_where(tmp_path) -> None:
    case = Case("hello", inputs={"text": "Hello."}, arrays={"voice": np.ones(3, np.float32)})
    facts = {"implementation": "mine 1.0", "precision": "float32", "device": "cpu"}
    with parity.record(tmp_path / "a.h5", Sampler(), case=case, facts=facts):
        pass
    with parity.open(tmp_path / "a.h5") as capture:
        meta, found = capture.meta, capture.environment
        assert capture.complete
        assert capture.case.inputs == case.inputs
    assert (meta.implementation, meta.framework, meta.precision) == ("mine 1.0", "torch", "float32")
    assert (meta.case_name, meta.case_digest) == ("hello", case.digest())
    assert str(torch.__version__).startswith(meta.versions["torch"])
    assert meta.extra["device"] == "cpu"
    assert meta.threads == torch.get_num_threads()
    assert meta.started <= meta.ended
    assert found["torch.threads"] == torch.get_num_threads()
    assert found["skipped"] == {}


def test_the_environment_holds_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "hunter2")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = environment()
    assert "hunter2" not in json.dumps(found)
    assert found["env.OMP_NUM_THREADS"] == "1"
    assert {name.removeprefix("env.") for name in found if name.startswith("env.")} <= set(
        ENVIRONMENT_VARIABLES
    )


def test_an_exception_leaves_an_incomplete_file_with_what_was_recorded(tmp_path) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 3))
    with (
        pytest.raises(RuntimeError, match="shapes cannot"),
        parity.record(tmp_path / "a.h5", model),
    ):
        model(torch.ones(1, 2))
    with parity.open(tmp_path / "a.h5") as capture:
        assert not capture.complete
        assert "0" in capture.paths


def test_an_impossible_path_is_refused_before_anything_runs(tmp_path) -> None:
    model = nn.Linear(1, 1)
    with (
        pytest.raises(CaptureFileError, match="cannot be written"),
        parity.record(tmp_path / "no" / "where.h5", model),
    ):
        pytest.fail("the block ran")
    assert "_compiled_call_impl" not in model.__dict__
    with parity.record(tmp_path / "a.h5", model):
        pass


KILLED = """
import sys, torch, parity
model = torch.nn.Linear(8, 8)
with parity.record(sys.argv[1], model), torch.no_grad():
    while True:
        model(torch.ones(1, 8))
        if parity.capture.active._listener.sink.count == 500:
            print("half a thousand", flush=True)
"""


def test_a_killed_run_leaves_a_readable_file(tmp_path) -> None:
    path = tmp_path / "killed.h5"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        time.sleep(2)  # longer than what a kill may cost
        os.kill(child.pid, signal.SIGKILL)
    with parity.open(path) as capture:
        assert not capture.complete
        assert len(capture.records) > 100
        last = capture.records[-1]
        assert capture.read(last).shape == last.spec.shape


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_module_is_recorded_at_its_border(recording) -> None:
    inner = nn.Linear(2, 2)
    model = torch.compile(nn.Sequential(inner), backend="eager")
    x = torch.ones(1, 2)
    with torch.no_grad():
        plain = model(x)
        with recording({"m": model}, inputs=False) as run:
            assert torch.equal(model(x), plain)
    np.testing.assert_array_equal(run["m:output#0"], plain)


def test_noise_is_replayed_from_a_file_too(tmp_path: Path) -> None:
    model = Sampler()
    with parity.record(tmp_path / "reference.h5", model):
        first = run(model, seed=3)
    with parity.record(tmp_path / "again.h5", model, noise=tmp_path / "reference.h5"):
        again = run(model, seed=4)
    assert torch.equal(first, again)
    assert not torch.equal(first, run(model, seed=4))
