"""What a capture depended on, recorded as it was made, so that the next run can tell if it changed.

As a compiler's dependency files do: the process that made a capture says which of the user's source
files and which installed distributions it had loaded. No list has to be kept by hand.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import xxhash

__all__ = ["digest_paths", "loaded", "unchanged"]

# Parts of this package that only read captures: a change in them does not stale one.
READERS = ("parity.align", "parity.cli", "parity.diagnose", "parity.diffing", "parity.localize",
           "parity.report", "parity.run", "parity.tolerance", "parity.pytest_plugin")  # fmt: skip


def loaded() -> dict[str, Any]:
    """The source files and distributions behind the modules of this process.

    Returns:
        `sources`: digest by absolute path, for files outside the installation; `distributions`:
        version by name, for what is installed.
    """
    installed = _installed_folders()
    sources, names = {}, set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or name.startswith(READERS):
            continue
        path = Path(file).resolve()
        if any(path.is_relative_to(folder) for folder in installed):
            names.add(name.partition(".")[0])
        elif path.is_file():
            sources[str(path)] = digest_file(path)
    return {"sources": sources, "distributions": _versions(names)}


def unchanged(recorded: Mapping[str, Any]) -> bool:
    """Whether everything that `loaded` recorded is still as it was."""
    sources, distributions = recorded.get("sources"), recorded.get("distributions")
    if not isinstance(sources, dict) or not isinstance(distributions, dict):
        return False
    return all(_version(name) == known for name, known in distributions.items()) and all(
        Path(path).is_file() and digest_file(Path(path)) == known for path, known in sources.items()
    )


def digest_paths(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of files, and of all files below folders."""
    sha = hashlib.sha256()
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            content = digest_file(file) if file.is_file() else "absent"
            sha.update(f"{file.relative_to(path.parent)}:{content}\n".encode())
    return sha.hexdigest()


def digest_file(path: Path) -> str:
    """Hexadecimal xxh3-128 of a file's bytes."""
    state = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def _installed_folders() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple(Path(sysconfig.get_path(name)).resolve() for name in names)


def _versions(top_level_names: set[str]) -> dict[str, str]:
    owners = packages_distributions()
    found = {owner for name in top_level_names for owner in owners.get(name, ())}
    return {owner: _version(owner) for owner in sorted(found)} | {"python": sys.version}


def _version(distribution: str) -> str:
    if distribution == "python":
        return sys.version
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
