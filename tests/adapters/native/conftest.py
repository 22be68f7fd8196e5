"""Candidates in C, compiled once."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parity.tensors import Case

ADAPTER = Path(__file__).resolve().parents[3] / "adapters" / "native"


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compiles a C file to a library, warnings being errors."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler: apt install gcc, or xcode-select --install")

    def compiled(source: Path, *flags: str) -> Path:
        library = tmp_path_factory.mktemp("native") / f"lib{source.stem}.so"
        subprocess.run(
            [compiler, "-std=c99", "-D_DEFAULT_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror",
             "-shared", "-fPIC", f"-I{ADAPTER / 'include'}", *flags, "-o", library, source,
             "-lm", "-lpthread"],
            check=True,
        )  # fmt: skip
        return library

    return compiled


@pytest.fixture(scope="session")
def mlp(compile_c: Callable[..., Path]) -> Path:
    return compile_c(ADAPTER / "examples" / "mlp.c")


@pytest.fixture(scope="session")
def misbehaving(compile_c: Callable[..., Path]) -> Path:
    return compile_c(Path(__file__).with_name("misbehaving.c"))


@pytest.fixture
def case() -> Case:
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    return Case("short", arrays={"x": x})
