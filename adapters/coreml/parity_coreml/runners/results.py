"""The runner that ran elsewhere: a results folder, as a harness on a device writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from parity.errors import InputError
from parity_coreml.bundle import read_bundle
from parity_coreml.documents import read_document
from parity_coreml.mil.values import Array
from parity_coreml.missing import Missing
from parity_coreml.package import Package
from parity_coreml.runners.protocol import Ran, Step, keep

__all__ = ["Results", "ResultsRunner", "read_results"]

_FORMAT, _VERSION = "parity-coreml-results", 1
_MAX_TENSOR_BYTES = 16 << 30


@dataclass(frozen=True, slots=True)
class ResultPackage:
    """How one package of the bundle fared."""

    path: str
    error: str | None = None
    load_s: float = 0.0
    missing: tuple[str, ...] = ()
    predict_s: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class ResultTensor:
    """One file, and what is in it."""

    name: str
    step: int
    file: str
    package: int = 0


@dataclass(frozen=True, slots=True)
class Results:
    """`results.json`; the attributes are its keys."""

    format: str
    version: int
    bundle: str
    runner: str
    compute_units: str
    device: dict[str, str]
    packages: tuple[ResultPackage, ...]
    tensors: tuple[ResultTensor, ...]
    states: tuple[ResultTensor, ...] = field(default_factory=tuple)


class ResultsRunner:
    """What a harness brought back.

    Args:
        bundle: the folder that it was given.
        results: the folder that it wrote.

    Raises:
        InputError: a folder is none, or they do not belong together.
    """

    def __init__(self, bundle: str | Path, results: str | Path) -> None:
        self._folder, self._bundle_folder = Path(results), Path(bundle)
        self.bundle = read_bundle(bundle)
        self.results = read_results(results)
        if self.results.bundle != self.bundle.id:
            raise InputError(
                f"the results are of the bundle {self.results.bundle[:12]}, this one is "
                f"{self.bundle.id[:12]}",
                where=str(results),
                hint="name the bundle that the harness was given, or run this one",
            )
        device = self.results.device
        chip = device.get("chip") or device.get("model") or "unknown device"
        self.name = f"{self.results.runner} on {chip} ({self.results.compute_units})"

    def run(
        self,
        package: Package,
        steps: Sequence[Step],
        outputs: Sequence[str] | None = None,
        state: Mapping[str, Array] | None = None,
    ) -> Ran:
        """Read it. It ran already, on the bundle's own inputs; `steps`, if any, have to be those.

        Raises:
            InputError: a file cannot be used, or the steps are others.
        """
        del package, state
        if steps:
            self._expect(steps)
        made: list[dict[str, Array]] = [{} for _ in range(self.bundle.steps)]
        again: list[dict[str, Array]] = [{} for _ in range(self.bundle.steps)]
        for tensor in self.results.tensors:
            self._read(tensor, made, again, outputs)
        states: list[dict[str, Array]] = [{} for _ in range(self.bundle.steps)]
        for each in self.results.states:
            states[self._step(each)][each.name] = _array(self._folder, each.file)
        return Ran(
            self.name,
            tuple(made),
            tuple(states) if self.results.states else (),
            tuple(self._missing(made, outputs)),
            tuple(again),
            self._facts(),
            self._seconds(),
        )

    def _expect(self, steps: Sequence[Step]) -> None:
        """Refuse other inputs: every value of the device would look wrong."""
        hint = "give the arrays that the bundle was made with, or make a new one and run it"
        if len(steps) != self.bundle.steps:
            said = f"the bundle has {self.bundle.steps} steps, the arrays have {len(steps)}"
            raise InputError(said, where=str(self._bundle_folder), hint=hint)
        for each in self.bundle.inputs:
            for number, file in enumerate(each.files):
                ours = steps[number].get(each.name)
                theirs = _array(self._bundle_folder, file)
                if ours is None or not np.array_equal(
                    ours, theirs, equal_nan=ours.dtype.kind == "f"
                ):
                    said = f"the device was given other numbers for {each.name}, step {number}"
                    raise InputError(said, where=str(self._bundle_folder), hint=hint)

    def _read(
        self,
        tensor: ResultTensor,
        made: list[dict[str, Array]],
        again: list[dict[str, Array]],
        outputs: Sequence[str] | None,
    ) -> None:
        if outputs is not None and tensor.name not in outputs:
            return
        step = self._step(tensor)
        keep(tensor.name, _array(self._folder, tensor.file), made[step], again[step])

    def _step(self, tensor: ResultTensor) -> int:
        if not 0 <= tensor.step < self.bundle.steps:
            raise InputError(
                f"step {tensor.step} of {tensor.name}; the bundle has {self.bundle.steps}",
                where=str(self._folder / "results.json"),
            )
        return tensor.step

    def _missing(
        self, made: Sequence[Mapping[str, Array]], outputs: Sequence[str] | None
    ) -> list[Missing]:
        """Everything that should be there and is not, each with what is known of it."""
        wanted = [each.name for each in self.bundle.outputs]
        reasons = {each.name: each.reason for each in self.bundle.not_exposed}
        for mine, theirs in zip(self.bundle.packages, self.results.packages, strict=False):
            for name in mine.outputs:
                if theirs.error:
                    reasons.setdefault(name, f"{theirs.path} failed: {theirs.error}")
                elif name in theirs.missing:
                    reasons.setdefault(name, "the platform gave nil for it")
        names = dict.fromkeys([*wanted, *reasons])
        return [
            Missing(name, reasons.get(name, "the harness wrote no file for it"))
            for name in names
            if (outputs is None or name in outputs) and any(name not in step for step in made)
        ]

    def _facts(self) -> dict[str, str]:
        device = self.results.device
        system = f"{device.get('system', '')} {device.get('system_version', '')}".strip()
        return {
            "framework": "Core ML",
            "framework_version": system,
            "device": " ".join(filter(None, (device.get("model"), device.get("chip")))),
            "compute_units": self.results.compute_units,
            "harness": self.results.runner,
            "precision": self.bundle.precision,
        }

    def _seconds(self) -> tuple[float, ...]:
        runs = self.results.packages[0].predict_s if self.results.packages else ()
        # The first run pays for what the runtime puts off until then.
        later = runs[1:] or runs
        return tuple(float(np.median(step)) for step in zip(*later, strict=False))


def read_results(folder: str | Path) -> Results:
    """The description of a results folder.

    Raises:
        InputError: there is none, or it is not one.
    """
    path = Path(folder) / "results.json"
    if not path.is_file():
        raise InputError(
            "no results.json in it: the harness did not finish, or never ran",
            where=str(folder),
            hint="run the harness on the bundle again",
        )
    return read_document(path, Results, "a description of results", (_FORMAT, _VERSION))


def _inside(folder: Path, file: str) -> Path:
    """A file of the folder, and never one outside."""
    parts = PurePosixPath(file)
    path = folder / parts
    inside = not parts.is_absolute() and ".." not in parts.parts
    if not inside or not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{file!r} is not a file of this folder", where=str(folder))
    if path.is_file() and path.stat().st_size > _MAX_TENSOR_BYTES:
        raise InputError("larger than any tensor should be", where=str(path))
    return path


def _array(folder: Path, file: str) -> Array:
    path = _inside(folder, file)
    try:
        with path.open("rb") as opened:
            array: Array = np.load(opened, allow_pickle=False)
    except (OSError, ValueError, MemoryError) as error:
        raise InputError(f"not a readable .npy file: {error}", where=str(path)) from error
    if not isinstance(array, np.ndarray):
        raise InputError("holds no single array", where=str(path))
    return array
