"""A folder with everything that a device needs to run a package: BUNDLE.md."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from parity.errors import InputError
from parity_coreml.documents import read_document
from parity_coreml.instrument import BATCH, Exposable, batches, exposable, instrument
from parity_coreml.mil.values import Array, in_declared_type
from parity_coreml.package import Package
from parity_coreml.sidecar import Placed, Sidecar, write_sidecar

__all__ = ["Bundle", "BundleOutput", "read_bundle", "write_bundle"]

_FORMAT, _VERSION = "parity-coreml-bundle", 1
_PLAIN = re.compile(r"[A-Za-z0-9_.()\-]{1,180}")


@dataclass(frozen=True, slots=True)
class BundleInput:
    """An input feature and its files, one a step."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BundleState:
    """A state of the program."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    stem: str


@dataclass(frozen=True, slots=True)
class BundlePackage:
    """One package and what it gives out."""

    path: str
    role: str
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BundleTap:
    """The file of a module's output, and which of the module's calls it is."""

    stem: str
    call: int
    calls: int


@dataclass(frozen=True, slots=True)
class BundleOutput:
    """A value that comes out, and where it goes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    number: int
    taps: tuple[BundleTap, ...] = ()


@dataclass(frozen=True, slots=True)
class NotExposed:
    """A value that cannot come out, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """`bundle.json`; the attributes are its keys."""

    id: str
    name: str
    precision: str
    inputs: tuple[BundleInput, ...]
    steps: int
    packages: tuple[BundlePackage, ...]
    outputs: tuple[BundleOutput, ...]
    states: tuple[BundleState, ...] = ()
    not_exposed: tuple[NotExposed, ...] = ()
    repeat: int = 5
    function: str = "main"
    format: str = _FORMAT
    version: int = _VERSION


def write_bundle(
    package: Package,
    sidecar: Sidecar,
    steps: Sequence[Mapping[str, Array]],
    folder: str | Path,
    *,
    batch: int = BATCH,
    repeat: int = 5,
) -> Bundle:
    """Write a bundle, which replaces one that is there.

    Args:
        package: as it was converted.
        sidecar: its map, which gives the files of module outputs their names.
        steps: inputs by name, one mapping a step.
        folder: to write; a folder that holds anything but a bundle is left alone.
        batch: how many values more than its own a package gives out.
        repeat: runs for timing.

    Raises:
        InputError: the folder holds something else.
    """
    folder = Path(folder)
    _empty(folder)
    values, left = exposable(package)
    own = [variable.name for variable in package.function().outputs]
    by_name = {value.name: value for value in values}
    groups = batches(values, own, batch)
    packages = [BundlePackage("packages/000.mlpackage", "untouched", tuple(own))]
    shutil.copytree(package.path, folder / packages[0].path)
    # Results are captured with the bundle alone, the model itself being elsewhere.
    write_sidecar(sidecar, folder / packages[0].path)
    for number, names in enumerate(groups, 1):
        path = f"packages/{number:03}.mlpackage"
        instrument(package, [by_name[name] for name in names], folder / path)
        packages.append(BundlePackage(path, "instrumented", (*own, *names)))
    taken = package.function().inputs
    inputs = _write_inputs(
        [
            {name: in_declared_type(name, taken[name], each) for name, each in step.items()}
            for step in steps
        ],
        folder,
    )
    bundle = Bundle(
        id=_digest(folder),
        name=package.path.stem,
        precision=sidecar.precision,
        inputs=inputs,
        steps=len(steps),
        packages=tuple(packages),
        outputs=tuple(_outputs(values, own, sidecar)),
        states=_states(package),
        not_exposed=tuple(NotExposed(each.name, each.reason) for each in left),
        repeat=repeat,
    )
    text = msgspec.json.format(msgspec.json.encode(bundle), indent=1)
    (folder / "bundle.json").write_bytes(text)
    return bundle


def read_bundle(folder: str | Path) -> Bundle:
    """The description of a bundle.

    Raises:
        InputError: there is none, or it is not one.
    """
    path = Path(folder) / "bundle.json"
    if not path.is_file():
        raise InputError(
            "no bundle.json in it",
            where=str(folder),
            hint="`parity coreml bundle` writes a bundle",
        )
    return read_document(path, Bundle, "a bundle", (_FORMAT, _VERSION))


def _empty(folder: Path) -> None:
    """Make way for a bundle."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "bundle.json").is_file():
            raise InputError(
                "holds something that is no bundle",
                where=str(folder),
                hint="name a folder that does not exist yet",
            )
        for part in ("packages", "inputs"):
            shutil.rmtree(folder / part, ignore_errors=True)
        (folder / "bundle.json").unlink()
    (folder / "packages").mkdir(parents=True, exist_ok=True)


def _write_inputs(steps: Sequence[Mapping[str, Array]], folder: Path) -> tuple[BundleInput, ...]:
    made = []
    for number, (name, first) in enumerate(steps[0].items()):
        files = []
        for step, inputs in enumerate(steps):
            file = f"inputs/{step}/{number}.npy"
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            np.save(folder / file, np.ascontiguousarray(inputs[name]), allow_pickle=False)
            files.append(file)
        made.append(BundleInput(name, str(first.dtype), first.shape, tuple(files)))
    return tuple(made)


def _outputs(
    values: Sequence[Exposable], own: Sequence[str], sidecar: Sidecar
) -> list[BundleOutput]:
    taps: dict[str, list[BundleTap]] = {}
    for placed in sidecar.placed:
        if (tap := _tap(placed)) is not None:
            taps.setdefault(placed.value, []).append(tap)
    first = [value for value in values if value.name in own]
    rest = [value for value in values if value.name not in own]
    return [
        BundleOutput(value.name, value.dtype, value.shape, number, tuple(taps.get(value.name, ())))
        for number, value in enumerate((*first, *rest))
    ]


def _tap(placed: Placed) -> BundleTap | None:
    """Where a module's output goes; nowhere of its own if layout or name stand against it."""
    # As the backend `files` reads names: an output unless it says otherwise.
    stem = f"{placed.path}.output.{placed.slot}" if placed.slot else placed.path
    if placed.permutation or not _PLAIN.fullmatch(stem) or ".." in stem:
        return None
    return BundleTap(f"taps/{stem}", placed.call, placed.calls)


def _states(package: Package) -> tuple[BundleState, ...]:
    shapes = package.evaluator().state()
    return tuple(
        BundleState(name, "float16", tuple(zeros.shape), f"states/{number}")
        for number, (name, zeros) in enumerate(shapes.items())
    )


def _digest(folder: Path) -> str:
    """Hexadecimal SHA-256 of everything that lies in the folder, names included."""
    sha = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        sha.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()
