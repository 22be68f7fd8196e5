"""What a run's numbers and timings depend on: versions, hardware, threads, switches."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["ENVIRONMENT_VARIABLES", "environment"]

Fact = str | int | float | bool

# Only these are read: an environment holds secrets.
ENVIRONMENT_VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "KMP_AFFINITY",
    "MKL_CBWR",
    "MKL_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)
_PACKAGES = ("parity", "torch", "numpy", "ml-dtypes", "h5py", "pocket-tts")


def environment() -> dict[str, Fact]:
    """Facts by dotted name; those about torch only when it is loaded."""
    facts: dict[str, Fact] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores(),
    }
    facts |= {f"package.{name}": found for name in _PACKAGES if (found := _version(name))}
    facts |= {
        f"env.{name}": os.environ[name] for name in ENVIRONMENT_VARIABLES if name in os.environ
    }
    return facts | _torch_facts() if "torch" in sys.modules else facts


def _torch_facts() -> dict[str, Fact]:
    import torch  # noqa: PLC0415  only when the program has loaded it

    facts: dict[str, Fact] = {
        "torch.threads": torch.get_num_threads(),
        "torch.interop_threads": torch.get_num_interop_threads(),
        "torch.default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "torch.deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch.float32_matmul_precision": torch.get_float32_matmul_precision(),
        "torch.mkldnn": bool(torch.backends.mkldnn.enabled),
        "torch.cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    if torch.cuda.is_available():
        facts["torch.cuda"] = str(torch.version.cuda)
        facts["torch.cuda_device"] = torch.cuda.get_device_name()
        facts["torch.allow_tf32"] = torch.backends.cuda.matmul.allow_tf32
    return facts


@cache  # reading a package's metadata takes milliseconds
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cores() -> int:
    return os.cpu_count() or 1


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
