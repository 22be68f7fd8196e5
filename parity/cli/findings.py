"""Looks at the machine and at what is installed, without loading any of it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from parity import __version__

__all__ = ["Finding", "examine"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `parity` can make use of.

    Attributes:
        group: `machine`, `python`, `extras` or `tools`.
        name: of the thing.
        found: its version, size or place; empty where it is missing.
        purpose: what it is for, in a few words.
        remedy: the command that gets it, empty where it is there.
        required: whether nothing works without it.
    """

    group: str
    name: str
    found: str
    purpose: str = ""
    remedy: str = ""
    required: bool = False


# What each optional group brings, by the package that tells whether it is there.
_EXTRAS = (
    ("torch", "torch", "PyTorch references and reimplementations"),
    ("torch", "safetensors", "reading weights"),
    ("fast", "numba", "compiled statistics: several times quicker captures and diffs"),
    ("pocket-tts", "pocket-tts", "the demo's subject"),
    ("tts", "jiwer", "word error rates"),
    ("tts", "pocketsphinx", "a recogniser without downloads"),
    ("whisper", "openai-whisper", "a stronger recogniser"),
    ("coreml", "coremltools", "Core ML candidates"),
    ("onnx", "onnxruntime", "ONNX candidates"),
    ("mlx", "mlx", "MLX candidates"),
    ("notebook", "nbclient", "notebooks"),
)
_REQUIRED = ("numpy", "h5py", "ml-dtypes", "msgspec", "click", "rich", "pandas", "matplotlib")
_COMPILERS = ("cc", "gcc", "clang")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "firefox")


def examine() -> list[Finding]:
    """Everything, in the order in which it is shown."""
    return [*_machine(), *_python(), *_extras(), *_tools()]


def _machine() -> Iterator[Finding]:
    yield Finding("machine", "system", platform.platform())
    yield Finding("machine", "cores", str(_cores()), "threads of a run")
    yield Finding("machine", "memory", _memory(), "captures are read in bounded memory")
    yield Finding("machine", "free disk", _free_disk(), "captures of a sentence take about 0.5 GiB")


def _python() -> Iterator[Finding]:
    yield Finding("python", "python", f"{platform.python_version()} in {sys.prefix}")
    yield Finding("python", "parity", __version__)
    for package in _REQUIRED:
        found = _version(package)
        yield Finding(
            "python", package, found, remedy="" if found else "pip install parity", required=True
        )


def _extras() -> Iterator[Finding]:
    for extra, package, purpose in _EXTRAS:
        found = _version(package)
        remedy = "" if found else f"pip install 'parity[{extra}]'"
        yield Finding("extras", package, found, purpose, remedy)


def _tools() -> Iterator[Finding]:
    yield _tool(
        "C compiler", _COMPILERS, "candidates in C", "apt install gcc, or xcode-select --install"
    )
    yield _tool(
        "cargo",
        ("cargo",),
        "candidates in Rust: `make native`",
        "https://rustup.rs, or apt install cargo",
    )
    yield _tool("git", ("git",), "the code revision of a capture", "apt install git")
    yield _tool("browser", _BROWSERS, "looking at HTML reports", "apt install chromium")


def _tool(name: str, commands: Sequence[str], purpose: str, remedy: str) -> Finding:
    paths = (shutil.which(command) for command in commands)
    path = next((path for path in paths if path), "")
    return Finding(
        "tools", name, _first_line(path) if path else "", purpose, "" if path else remedy
    )


def _first_line(command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  found on the PATH by a name of ours
            [command, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return command
    return done.stdout.partition("\n")[0].strip() or command


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cores() -> int:
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (ValueError, OSError):
        return "unknown"


def _free_disk() -> str:
    return f"{shutil.disk_usage(Path.cwd()).free / 2**30:.1f} GiB"
