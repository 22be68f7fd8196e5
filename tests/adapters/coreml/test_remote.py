"""A device at the cable: coremltools' own path to it, with a stand-in for Xcode and the phone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from parity.errors import BackendError, ConfigError
from parity_coreml.check import check
from parity_coreml.checked_text import checked_to_text
from parity_coreml.instrument import exposable
from parity_coreml.package import open_package
from parity_coreml.quiet import quietly
from parity_coreml.runners import RemoteRunner

with quietly():
    from coremltools.models.ml_program.experimental import async_wrapper, remote_device


def phone(name: str, state: str = "connected") -> remote_device.Device:
    return remote_device.Device(
        name=name, type=remote_device.DeviceType.IPHONE, identifier=f"id-{name}", udid=f"u-{name}",
        os_version="18.1", os_build_number="22B83", developer_mode_state="enabled",
        state=remote_device.DeviceState(state), session=None,
    )  # fmt: skip


class Service:
    """What answers on the device; it computes what the program says."""

    def __init__(self, path: Path) -> None:
        self._package = open_package(path)
        self._loop = asyncio.get_running_loop()  # coremltools' own keeps it, too

    async def predict(self, inputs):
        evaluator = self._package.evaluator()
        made = await self._loop.run_in_executor(None, evaluator.run, inputs, {})
        arrays = evaluator.arrays(made)
        return {name: arrays[name] for name in made.outputs}


@pytest.fixture
def cable(monkeypatch):
    """A Mac with phones; says what coremltools did to them."""
    done = SimpleNamespace(
        phones=[phone("Ada"), phone("Bob", "unavailable")], prepared=[], loaded=[], loops=[]
    )

    async def prepare(self, credentials):
        done.prepared.append((self.name, credentials.development_team))
        return self

    async def load_on_device(device, compiled_model_path, compute_units, **options):
        done.loops.append(asyncio.get_running_loop())
        done.loaded.append((device.name, compute_units.name))
        return Service(Path(compiled_model_path.read_text()))

    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr(remote_device.Device, "get_devices", lambda: done.phones)
    monkeypatch.setattr(remote_device.Device, "prepare_for_model_debugging", prepare)
    monkeypatch.setattr(
        async_wrapper, "compile_model",
        lambda model, destination_path: Path(destination_path).write_text(model),
    )  # fmt: skip
    monkeypatch.setattr(
        async_wrapper._RemoteMLModelService, "load_on_device", staticmethod(load_on_device)
    )
    return done


def test_every_value_comes_from_the_device(block, cable):
    runner = RemoteRunner(compute_units="cpuOnly", team="T1", batch=3)
    inputs = [{"x": block.args[0].numpy()}]
    ran = runner.run(block.package, inputs)
    runner.run(block.package, inputs)
    assert not ran.missing
    assert set(ran.steps[0]) == {each.name for each in exposable(block.package)[0]}
    assert cable.prepared == [("Ada", "T1")]
    assert set(cable.loaded) == {("Ada", "CPU_ONLY")}
    assert ran.runner == "Core ML on Ada (cpuOnly)"
    assert ran.facts["framework_version"] == "iphone 18.1"


def test_its_loop_is_closed_with_it(block, cable):
    runner = RemoteRunner()
    runner.run(block.package, [{"x": block.args[0].numpy()}])
    assert not any(loop.is_closed() for loop in cable.loops)
    del runner
    assert cable.loops
    assert all(loop.is_closed() for loop in cable.loops)


def test_a_package_that_is_loaded_runs_several_steps(block, cable):
    inputs = [{"x": block.args[0].numpy()}, {"x": -block.args[0].numpy()}]
    ran = RemoteRunner().run(block.package, inputs)
    assert not ran.missing
    assert [set(step) for step in ran.steps] == [set(ran.steps[0])] * 2


def test_it_is_the_third_side_of_a_check(block, cable):
    ran = RemoteRunner("ada").run(block.package, [{"x": block.args[0].numpy()}])
    name = next(name for name in ran.steps[0] if name.startswith("linear"))
    wrong = {**ran.steps[0], name: np.asarray(ran.steps[0][name]) + 1}
    changed = replace(ran, steps=(wrong,))
    checked = check(block.module, [block.args], block.path, changed)
    assert checked.holds is False
    assert "Core ML on Ada" in checked_to_text(checked)


@pytest.mark.parametrize(
    ("names", "wanted", "says"),
    [
        ([], "", "no connected device; there is none"),
        (["Ada"], "Eve", r"no connected device called 'Eve'; there is Ada \(id-Ada\)"),
        (["Ada", "Eve"], "", "2 connected devices; there is Ada"),
        (["Ada", "Eve"], "iphone", "2 connected devices called 'iphone'"),
    ],
)
def test_which_device_is_meant_must_be_clear(block, cable, names, wanted, says):
    cable.phones = [*map(phone, names), phone("Bob", "unavailable")]
    with pytest.raises(BackendError, match=says):
        RemoteRunner(wanted).run(block.package, [{"x": block.args[0].numpy()}])


def test_what_xcode_says_is_passed_on(block, cable, monkeypatch):
    def fails():
        raise ValueError("The 'devicectl' command is required.")

    monkeypatch.setattr(remote_device.Device, "get_devices", fails)
    with pytest.raises(BackendError, match="devicectl") as error:
        RemoteRunner().run(block.package, [{"x": block.args[0].numpy()}])
    assert "parity coreml bundle" in str(error.value.hint)


def test_states_are_refused(counter, cable):
    with pytest.raises(ConfigError, match="keeps no state"):
        RemoteRunner().run(counter.package, [{"x": counter.args[0].numpy()}])
    assert not cable.prepared


def test_elsewhere_than_on_a_mac_it_says_so(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Linux")
    with pytest.raises(BackendError, match="through Xcode on a Mac; this is Linux"):
        RemoteRunner()
