"""Virtual environments for what cannot live in ours, and processes that are timed and weighed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

__all__ = ["CACHE", "ROOT", "SkippedError", "Stage", "environment", "run_stage"]

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("PARITY_CACHE") or ROOT / ".cache") / "real_cases"

# What parity itself imports where it records: the candidate runs under parity's own recorder.
_PARITY = ("h5py", "ml-dtypes", "msgspec", "numpy<2.4", "pandas", "rich", "xxhash")
_FOLDERS = (ROOT, *(ROOT / "adapters" / name for name in ("torch", "files", "coreml")))


class SkippedError(Exception):
    """A case cannot be run here, and why."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One process of a case.

    Attributes:
        name: what it did.
        seconds: wall time.
        mib: most memory that was resident, in MiB.
    """

    name: str
    seconds: float
    mib: float


def environment(name: str, packages: Sequence[str]) -> Path:
    """The Python of an environment with these packages, which is made if need be.

    Raises:
        SkippedError: there is no uv, or the packages cannot be had.
    """
    folder = CACHE / name
    python = folder / "bin" / "python"
    # The same torch on both sides: what differs is then the model's code.
    wanted = [*packages, f"torch=={_installed('torch')}", *_PARITY]
    done = folder / "parity-packages.txt"
    if python.exists() and done.exists() and done.read_text().splitlines() == wanted:
        return python
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    if not Path(uv).exists():
        raise SkippedError("needs uv to make an environment: see the Makefile's .tools/bin/uv")
    print(f"making an environment with {', '.join(packages)} ...", flush=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", version, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *wanted],
    ):
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            said = made.stderr.strip().splitlines()[-1:] or ["no message"]
            raise SkippedError(f"cannot install {', '.join(packages)}: {said[0].strip()}")
    done.write_text("\n".join(wanted) + "\n")
    return python


def _installed(package: str) -> str:
    try:
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError:
        raise SkippedError(f"{package} is not installed here: make setup") from None


def run_stage(name: str, python: Path, *arguments: str | Path) -> Stage:
    """Run `python -m ...` in a process of its own; what it prints is shown.

    Raises:
        CalledProcessError: it failed.
    """
    command = [str(python), "-m", *map(str, arguments)]
    paths = os.pathsep.join(map(str, _FOLDERS))
    settings = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    variables = {**os.environ, **settings, "PYTHONPATH": paths}
    print(f"{name} ...", flush=True)
    started = time.monotonic()
    process = subprocess.Popen(command, env=variables, cwd=ROOT)
    # Not communicate(): wait4 alone says how much memory this one child took.
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return Stage(name, time.monotonic() - started, used.ru_maxrss / unit)
