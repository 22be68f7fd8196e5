"""Finds the tensors of a folder."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from parity.errors import InputError
from parity_files.numpy_files import npy_tensors, npz_tensors
from parity_files.safetensors_file import safetensors_tensors
from parity_files.tensor import StoredTensor

__all__ = ["Dumped", "natural", "scan"]

_READERS: dict[str, Callable[[Path, str], Iterator[StoredTensor]]] = {
    ".npy": npy_tensors,
    ".npz": npz_tensors,
    ".safetensors": safetensors_tensors,
}
_PICKLED = frozenset({".pt", ".pth", ".pkl", ".pickle", ".ckpt"})


@dataclass(frozen=True, slots=True, eq=False)
class Dumped:
    """One tensor that a folder holds.

    Attributes:
        container: name of its .npz or .safetensors file below the folder, without extension;
            empty for a .npy file.
        name: its name inside the container, or that of its .npy file without extension.
        tensor: how to read it.
        time_ns: when its file was last written.
    """

    container: str
    name: str
    tensor: StoredTensor
    time_ns: int


def scan(folder: Path, ignore: tuple[str, ...] = ()) -> list[Dumped]:
    """Every tensor below `folder`, files in natural order, their tensors as stored.

    Raises:
        InputError: there is no such folder, it holds no tensor, or one of its files is damaged,
            not a plain file, or a link that leads outside.
    """
    if not folder.exists():
        raise InputError("no such file or folder", where=str(folder), hint="check the path")
    files = _files(folder, ignore)
    found = [dumped for path in files for dumped in _tensors(folder, path)]
    if not found:
        raise _nothing(folder)
    return found


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key under which `layer.2` comes before `layer.10`."""
    parts = re.split(r"(\d+)", text)
    return tuple((1, int(p), p) if i % 2 else (0, 0, p) for i, p in enumerate(parts))


def _files(folder: Path, ignore: tuple[str, ...]) -> list[Path]:
    if folder.is_file():
        return [folder]
    inside = (path for path in folder.rglob("*") if path.suffix in _READERS)
    kept = [path for path in inside if not _ignored(path.relative_to(folder), ignore)]
    return sorted(kept, key=lambda path: natural(path.relative_to(folder).as_posix()))


def _ignored(relative: Path, ignore: tuple[str, ...]) -> bool:
    return any(fnmatchcase(relative.as_posix(), pattern) for pattern in ignore)


def _tensors(folder: Path, path: Path) -> Iterator[Dumped]:
    if path.suffix not in _READERS:
        raise _nothing(path)
    _check_plain(folder, path)
    below = path.name if path == folder else path.relative_to(folder).as_posix()
    stem = below.removesuffix(path.suffix)
    time_ns = path.stat().st_mtime_ns
    for tensor in _READERS[path.suffix](path, str(path)):
        if path.suffix == ".npy":
            yield Dumped("", stem, tensor, time_ns)
        else:
            yield Dumped(stem, tensor.name, tensor, time_ns)


def _check_plain(folder: Path, path: Path) -> None:
    try:
        target = path.resolve(strict=True)
        plain = stat.S_ISREG(target.stat().st_mode)
    except (OSError, RuntimeError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from error
    root = folder.resolve()
    if path != folder and not target.is_relative_to(root):
        raise InputError(
            "is a link that leads out of the folder",
            where=str(path),
            hint="put the file itself there, or name the folder it lies in",
        )
    if not plain:
        raise InputError("is not a plain file", where=str(path))


def _nothing(folder: Path) -> InputError:
    files = [folder] if folder.is_file() else list(folder.rglob("*"))
    pickled = sorted(path.name for path in files if path.suffix in _PICKLED)
    what = "holds no .npy, .npz or .safetensors file"
    if pickled:
        return InputError(
            f"{what}; {pickled[0]} is a pickle, which is never loaded, because it can run code",
            where=str(folder),
            hint="save with numpy.save, numpy.savez or safetensors.torch.save_file",
        )
    return InputError(what, where=str(folder), hint="dump tensors with numpy.save(name, array)")
