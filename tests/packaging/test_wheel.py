"""The built wheel in an empty environment, and somebody's small project there.

Whatever the sources of this checkout hold that the wheel does not (templates, adapters, entry
points), and whatever this environment has that the wheel does not ask for, shows here.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".tools" / "bin"))
pytestmark = pytest.mark.skipif(UV is None, reason="uv, which builds the wheel, is not installed")

TEST = """
import numpy as np
import parity as library

def tensors(scale=1.0):
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    return {"encoder": x, "decoder": (x * scale).astype(np.float32)}

def test_right(parity):
    parity.check(tensors(), reference=tensors)

def test_wrong(parity):
    parity.check(tensors(1.01), reference=tensors)

@library.differential(np.sin, np.sin)
def test_differential(x):
    pass
"""
CONFIG = """
[subject]
name = "foreign"
[reference]
backend = "files"
options = { folder = "reference" }
golden = "golden"
[candidates.port]
backend = "files"
options = { folder = "port" }
[[cases]]
name = "hello"
[report]
formats = ["html", "json", "markdown"]
"""
DUMP = """
import numpy as np
from pathlib import Path
x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
for folder, scale in (("reference", 1.0), ("port", 1.01)):
    Path(folder).mkdir()
    np.save(f"{folder}/0_encoder.npy", x)
    np.save(f"{folder}/1_decoder.npy", (x * scale).astype(np.float32))
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


def call(command: Sequence[object], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command away from this checkout's packages and settings."""
    left_out = ("PYTHONPATH", "PYTEST_", "GITHUB_", "VIRTUAL_ENV", "COV_")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
    return subprocess.run(
        [str(part) for part in command], cwd=folder, env=clean, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def must(command: Sequence[object], folder: Path) -> None:
    done = call(command, folder)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    must([UV, "build", "--wheel", "--quiet", "--out-dir", folder, ROOT], folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that holds the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("empty")
    must([UV, "venv", "--quiet", "--python", sys.executable, "env"], folder)
    python = folder / "env" / "bin" / "python"
    must([UV, "pip", "install", "--quiet", "--python", python, f"{wheel}[testing]"], folder)
    return python.parent


@pytest.fixture
def project(environment: Path, tmp_path: Path) -> Path:
    for name, text in (("test_port.py", TEST), ("parity.toml", CONFIG), ("dump.py", DUMP)):
        (tmp_path / name).write_text(text)
    must([environment / "python", "dump.py"], tmp_path)
    return tmp_path


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "parity", *(path.name for path in ROOT.glob("adapters/*/parity_*")),
    }  # fmt: skip
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "parity").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sources <= set(names)


def test_plugin_command_line_and_report_work_in_a_foreign_project(
    environment: Path, project: Path
) -> None:
    python, parity = environment / "python", environment / "parity"
    where = call([python, "-c", "import parity; print(parity.__file__)"], project)
    assert where.stdout.startswith(str(environment.parent)), "the wheel's, not this checkout's"
    assert "parity" in call([parity, "--help"], project).stdout

    # The plugin: golden captures, then one test that holds and one that does not.
    created = call([python, "-m", "pytest", "-q", "--parity-create"], project)
    assert "golden captures written" in created.stdout, created.stdout + created.stderr
    tests = call([python, "-m", "pytest", "-q", "--junit-xml=tests.xml"], project)
    assert "1 failed, 2 passed" in tests.stdout, tests.stdout + tests.stderr
    assert "first divergence   decoder" in tests.stdout

    # The command line: the gate, its JUnit file, and a page that names the first divergence.
    gate = call(
        [parity, "run", "--gate", "--no-diagnose", "--create-golden", "--junit", "gate.xml"],
        project,
    )
    assert gate.returncode == 1, gate.stdout + gate.stderr
    failed = [
        case.get("name")
        for case in ET.parse(project / "gate.xml").iter("testcase")
        if case.find("failure") is not None
    ]
    assert len(failed) == 1
    assert "decoder" in str(failed[0])
    page = (project / "reports" / "foreign-hello-port.html").read_text(encoding="utf-8")
    assert "decoder" in page

    # Tests from the configuration, and without the plugin.
    taps = call([python, "-m", "pytest", "-q", "parity.toml"], project)
    assert "1 failed, 2 passed" in taps.stdout, taps.stdout + taps.stderr
    (project / "test_plain.py").write_text("def test_plain():\n    assert True\n")
    plain = call([python, "-m", "pytest", "-q", "-p", "no:parity", "test_plain.py"], project)
    assert "1 passed" in plain.stdout, plain.stdout + plain.stderr
