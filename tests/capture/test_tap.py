"""Explicit taps, phases and steps, as a port calls them."""

import subprocess
import sys
import timeit

import numpy as np
import pytest
import torch

import parity
from parity.tensors import Role


def test_taps_record_what_they_are_given_and_return_it(recording) -> None:
    value = torch.arange(3)
    with recording() as run:
        assert parity.tap("a.b", value) is value
        parity.tap("a.b", value + 1)
        parity.tap("rope", (value, value * 2), role=Role.OUTPUT)
        parity.tap("eos", value > 1, role=Role.OUTPUT, slot="1")
        parity.tap("numpy", np.float64([1, 2]))
    assert list(run.arrays) == [
        "a.b:tap#0", "a.b:tap#1", "rope:output#0", "rope:output.1#0", "eos:output.1#0",
        "numpy:tap#0",
    ]  # fmt: skip
    np.testing.assert_array_equal(run["a.b:tap#1"], [1, 2, 3])


def test_a_tensor_changed_after_its_tap_is_recorded_as_it_was(recording) -> None:
    value = torch.zeros(2)
    with recording() as run:
        parity.tap("x", value)
        value += 1
    np.testing.assert_array_equal(run["x:tap#0"], [0, 0])


def test_phases_and_steps(recording) -> None:
    with recording() as run:
        parity.tap("x", torch.zeros(1))
        with parity.phase("generate"):
            for _ in range(2):
                parity.next_step()
                parity.tap("x", torch.zeros(1))
            with parity.phase("decode"):
                parity.tap("x", torch.zeros(1))
        parity.tap("x", torch.zeros(1))
    steps = {key: record.step for key, record in run.records.items()}
    assert steps == {
        "x:tap#0": -1, "x:tap@generate#0": 0, "x:tap@generate#1": 1, "x:tap@decode#0": -1,
        "x:tap#1": -1,
    }  # fmt: skip


def test_without_a_recording_nothing_happens() -> None:
    value = object()
    assert parity.tap("a", value) is value
    with parity.phase("p"):
        parity.next_step()


def test_a_tap_without_a_recording_costs_less_than_half_a_microsecond() -> None:
    value = torch.zeros(1)
    seconds = min(timeit.repeat(lambda: parity.tap("a", value), number=2000, repeat=20)) / 2000
    assert seconds < 0.5e-6 * 3  # of a quiet core; tests share theirs


@pytest.mark.parametrize(
    "module", ["parity.capture", "parity.capture.active", "parity.capture.recorder"]
)
def test_importing_loads_neither_torch_nor_h5py(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'torch', 'h5py', 'pandas'}} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_program_without_torch_can_be_recorded(tmp_path) -> None:
    code = f"""
import sys, numpy as np, parity
with parity.record({str(tmp_path / "run.h5")!r}):
    parity.tap("x", np.arange(3))
with parity.open({str(tmp_path / "run.h5")!r}) as capture:
    print(capture["x"].tap[0].tolist(), "torch" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[0, 1, 2] False"
