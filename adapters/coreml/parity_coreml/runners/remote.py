"""The runner for an iPhone or iPad at a Mac's cable, through coremltools and Xcode."""

from __future__ import annotations

import asyncio
import platform
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parity.errors import BackendError, ConfigError
from parity_coreml.instrument import BATCH
from parity_coreml.mil.values import Array
from parity_coreml.package import Package
from parity_coreml.quiet import coremltools, quietly
from parity_coreml.runners.device import compute_unit, predict_batches
from parity_coreml.runners.protocol import Ran, Step

__all__ = ["RemoteRunner"]

_INSTEAD = "`parity coreml bundle` writes what the harness in Swift runs on a device"


class RemoteRunner:
    """Core ML on a device that is connected to this Mac.

    coremltools builds its own small app with Xcode, installs it, and sends packages and inputs
    there; intermediate values come out of copies of the package, in batches, as on the Mac itself.
    The app is built once a runner. It keeps no state from one prediction to the next.

    Args:
        device: its name, identifier or kind (iphone, ipad); empty for the only one.
        compute_units: one of `UNITS`.
        team: the development team whose signature the app gets; empty for the project's own.
        batch: how many values more than its own a copy gives out.

    Raises:
        ConfigError: no such compute units.
        BackendError: this is no Mac.
    """

    def __init__(
        self, device: str = "", compute_units: str = "all", team: str = "", batch: int = BATCH
    ) -> None:
        self._compute_units = compute_units
        self._unit = compute_unit(compute_units)
        if platform.system() != "Darwin":
            raise BackendError(
                f"a device is reached through Xcode on a Mac; this is {platform.system()}",
                where="runner",
                hint=_INSTEAD,
            )
        self._wanted, self._team, self._batch = device, team, batch
        # One for all: coremltools' service on the device keeps the loop that it was loaded in.
        self._loop = asyncio.Runner()
        weakref.finalize(self, self._loop.close)
        self._device: Any = None
        self.name = f"Core ML on {device or 'the connected device'} ({compute_units})"

    def run(
        self,
        package: Package,
        steps: Sequence[Step],
        outputs: Sequence[str] | None = None,
        state: Mapping[str, Array] | None = None,
    ) -> Ran:
        """Run the package as it is, then each instrumented copy.

        Raises:
            BackendError: no device, or the app cannot be built or started there.
            ConfigError: the package keeps states.
        """
        if state or package.evaluator().state():
            raise ConfigError(
                "coremltools' app keeps no state between predictions", where="state", hint=_INSTEAD
            )
        device = self._prepared()
        self.name = f"Core ML on {device.name} ({self._compute_units})"
        facts = {
            "framework": "Core ML",
            "framework_version": f"{device.type.value} {device.os_version}",
            "device": device.name,
            "compute_units": self._compute_units,
        }
        ran = predict_batches(package, steps, outputs, self._load, self._batch)
        return Ran(self.name, *ran, facts=facts)

    def _prepared(self) -> Any:
        """The device with coremltools' app running on it."""
        if self._device is None:
            remote = _remote_device()
            try:
                chosen = _chosen(remote.Device.get_devices(), self._wanted, remote.DeviceState)
                credentials = remote.AppSigningCredentials(development_team=self._team)
                self._device = self._loop.run(chosen.prepare_for_model_debugging(credentials))
            except BackendError:
                raise
            except Exception as error:  # whatever Xcode's tools say
                raise BackendError(
                    f"coremltools cannot start its app on the device: {error}",
                    where="runner",
                    hint="it needs Xcode's command line tools, a device in developer mode, and "
                    f"team=ID for the signature; or {_INSTEAD}",
                ) from error
        return self._device

    def _load(self, path: Path) -> _OnDevice:
        return _OnDevice(path, self._unit, self._device, self._loop)


class _OnDevice:
    """A package there, with `predict` as `MLModel` has it."""

    def __init__(self, path: Path, unit: str, device: Any, loop: asyncio.Runner) -> None:
        self._loop = loop
        units = coremltools().ComputeUnit
        with quietly():
            from coremltools.models.ml_program.experimental.async_wrapper import (  # noqa: PLC0415
                MLModelAsyncWrapper,
            )

            self._model = MLModelAsyncWrapper.from_spec_or_path(
                str(path), weights_dir="", compute_units=units[unit], device=device
            )

    def predict(self, inputs: dict[str, Array]) -> Mapping[str, Array]:
        predicted: Mapping[str, Array] = self._loop.run(self._model.predict(inputs))
        return predicted


def _remote_device() -> Any:
    coremltools()
    with quietly():
        from coremltools.models.ml_program.experimental import remote_device  # noqa: PLC0415

    return remote_device


def _chosen(devices: Sequence[Any], wanted: str, states: Any) -> Any:
    """The one connected device that is meant."""
    connected = [each for each in devices if each.state == states.CONNECTED]
    meant = [
        each
        for each in connected
        if wanted.lower() in ("", each.name.lower(), each.identifier.lower(), each.udid.lower())
        or wanted.lower() == each.type.value
    ]
    if len(meant) == 1:
        return meant[0]
    there = ", ".join(f"{each.name} ({each.identifier})" for each in meant or connected)
    called = f" called {wanted!r}" if wanted else ""
    raise BackendError(
        f"{len(meant) or 'no'} connected device{'s' if len(meant) > 1 else ''}{called}; "
        f"there is {there or 'none'}",
        where="device",
        hint="connect one, unlock it and trust this Mac, or name one by its identifier",
    )
