"""A pull request, end to end: golden, baseline, a fault, its repair, and a better port.

The project is somebody's small repository: a reference, a port in a file of its own, and
`parity.toml`. Everything happens through the command line, as on a machine of a CI system.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import h5py
import pytest

from parity.cli.main import main

REFERENCE = '''
"""The reference: an encoder, a gate, a decoder. Stands for something that CI has not."""
import numpy as np
from parity.backends import Capabilities
from parity.tensors import Role

def weights():
    drawn = np.random.default_rng(1)
    return [drawn.standard_normal((16, 16)).astype(np.float32) / 4 for _ in range(3)]

def gelu(x):
    inner = np.float32(0.7978846) * (x + np.float32(0.044715) * x**3)
    return np.float32(0.5) * x * (1 + np.tanh(inner))

class Model:
    name = "model"
    activation = staticmethod(gelu)

    def capabilities(self):
        return Capabilities()

    def capture(self, case, plan, sink):
        a, b, c = weights()
        x = np.random.default_rng(case.seed).standard_normal((4, 16)).astype(np.float32)
        for name, step in (("encoder", lambda x: x @ a), ("gate", type(self).activation),
                           ("decoder", lambda x: x @ b), ("output", lambda x: x @ c)):
            x = step(x)
            sink.record(name, x, role=Role.OUTPUT)
'''
PORT = """
import numpy as np
from reference import Model

def gelu(x):
    # in double precision: not the same bits, and right
    y = x.astype(np.float64)
    y = 0.5 * y * (1 + np.tanh(0.7978845608028654 * (y + 0.044715 * y**3)))
    return y.astype(np.float32)

class Port(Model):
    name = "port"
    activation = staticmethod(gelu)
"""
CONFIG = """
[subject]
name = "demo"
output = "output"

[reference]
backend = "reference:Model"
golden = "golden"

[candidates.port]
backend = "port:Port"

[[cases]]
name = "hello"
seed = 3

[report]
formats = []
"""


@dataclass(frozen=True)
class Outcome:
    """What one call of the command line left."""

    status: int
    console: str
    junit: ET.Element
    summary: str
    html: str


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in (("reference.py", REFERENCE), ("port.py", PORT), ("parity.toml", CONFIG)):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("reference", "port"):  # the next test has others of these names
        sys.modules.pop(name, None)


@pytest.fixture
def ci(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Runs `parity run --gate` as a job on GitHub would; captures are made in processes of their
    own, so that a changed port is a changed port.
    """
    summary = repository / "step_summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(repository))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))

    def call(*options: str) -> Outcome:
        summary.unlink(missing_ok=True)
        with pytest.raises(SystemExit) as stop:
            main(["run", "--gate", "--no-diagnose", "--junit", "junit.xml", *options])
        page = repository / "reports" / "demo-hello-port.html"
        return Outcome(
            int(stop.value.code or 0),
            capsys.readouterr().out,
            ET.parse(repository / "junit.xml").getroot(),
            summary.read_text(encoding="utf-8"),
            page.read_text(encoding="utf-8") if page.exists() else "",
        )

    return call


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_the_story_of_a_pull_request(repository: Path, ci: Callable[..., Outcome]) -> None:
    baseline = repository / "parity-baseline.json"

    # Nothing is created by itself: neither golden captures nor a baseline.
    assert ci().status == 2
    assert not (repository / "golden").exists()
    first = ci("--create-golden")
    assert first.status == 1
    assert "no baseline" in first.console
    assert not baseline.exists()
    assert ci("--update-baseline").status == 0
    accepted = baseline.read_text()
    errors = json.loads(accepted)["cases"]["hello"]["port"]["taps"]
    assert errors["encoder:output"] == 0
    assert 0 < errors["gate:output"] < 1e-6

    # From here on the reference is not needed: the golden capture stands for it.
    source = repository / "reference.py"
    source.write_text(source.read_text().replace("class Model:", "class Base:"))
    port = repository / "port.py"
    good = port.read_text().replace("Model", "Base")
    port.write_text(good)
    assert ci().status == 0

    # The pull request: another activation. The gate names it everywhere.
    port.write_text(good.replace("0.044715 * y**3", "0.04 * y**3"))
    config = repository / "parity.toml"
    config.write_text(CONFIG.replace("formats = []", 'formats = ["html"]'))
    red = ci()
    assert red.status == 1
    assert "first divergence port on hello: gate (output, call 0)" in one_line(red.console)
    assert re.search(r"^::error file=parity.toml,line=10,.*port on hello: gate", red.console, re.M)
    suite = red.junit.find("testsuite[@name='port on hello']")
    assert suite is not None
    failing = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failing == ["gate", "decoder", "output"]
    assert "**First divergence** of port on hello: gate (output, call 0)" in red.summary
    page = re.sub(r"<[^>]+>", " ", red.html)
    assert re.search(r"first divergence\W+(the tensor )?gate\b", page, re.IGNORECASE)
    config.write_text(CONFIG)
    assert baseline.read_text() == accepted, "a run that does not pass moves nothing"
    assert ci("--update-baseline").status == 1
    assert baseline.read_text() == accepted

    # Fixed, and better than before: it passes, and the ratchet moves when it is told to.
    better = good.replace("def gelu(x):", "from reference import gelu as exact\n\ndef gelu(x):\n"
                          "    return exact(x)\n")  # fmt: skip
    port.write_text(better)
    green = ci()
    assert green.status == 0
    assert green.junit.get("failures") == "0"
    assert green.summary.startswith("## ✅ The gate passes")
    assert baseline.read_text() == accepted
    assert ci("--update-baseline").status == 0
    assert set(json.loads(baseline.read_text())["cases"]["hello"]["port"]["taps"].values()) == {0.0}


LISTED = """
[[gate.expected]]
tap = "{tap}"
reason = "the table of the activation is coarse: issue 12"
until = {until}
"""


def test_a_known_failure_is_listed_for_a_while(
    repository: Path, ci: Callable[..., Outcome]
) -> None:
    assert ci("--create-golden", "--update-baseline").status == 0
    port = repository / "port.py"
    port.write_text(port.read_text().replace("0.044715 * y**3", "0.04 * y**3"))
    config = repository / "parity.toml"
    taps = ("gate", "decoder", "output")

    def listing(until: str) -> str:
        return CONFIG + "".join(LISTED.format(tap=tap, until=until) for tap in taps)

    config.write_text(listing("2999-01-01"))
    # Known, and so much worse than the baseline that this must be accepted too.
    worse = ci()
    assert worse.status == 1
    assert "worse than the baseline" in worse.console
    assert ci("--accept-worse", "a coarse table, for speed").status == 0
    assert "for speed" in (repository / "parity-baseline.json").read_text()
    listed = ci()
    assert listed.status == 0
    assert listed.junit.get("skipped") == "3"
    assert "until 2999-01-01" in listed.summary
    config.write_text(listing("2020-01-01"))
    late = ci()
    assert late.status == 1
    assert "listed until 2020-01-01" in one_line(late.console)


def test_a_golden_capture_of_another_input_is_refused(
    repository: Path, ci: Callable[..., Outcome]
) -> None:
    assert ci("--create-golden", "--update-baseline").status == 0
    config = repository / "parity.toml"
    config.write_text(CONFIG.replace("seed = 3", "seed = 4"))
    changed = ci()
    assert changed.status == 2
    assert "the golden capture is of another input than the case" in one_line(changed.console)
    assert "--update-golden" in changed.console
    assert ci("--update-golden").status in {0, 1}


def test_an_incomplete_or_damaged_golden_capture_is_refused(
    repository: Path, ci: Callable[..., Outcome]
) -> None:
    assert ci("--create-golden", "--update-baseline").status == 0
    golden = repository / "golden" / "hello.h5"
    whole = golden.read_bytes()
    golden.write_bytes(whole[:2000])
    damaged = ci()
    assert damaged.status == 2
    assert "is missing (try: copy it again" in one_line(damaged.console)
    assert "(or: parity run --update-golden" in one_line(damaged.console)

    golden.write_bytes(whole)
    with h5py.File(golden, "r+") as file:
        stored = file["tensors/gate/output"]
        stored[...] = stored[...] + 1
    other = ci()
    assert other.status == 2
    assert "the golden capture is damaged: 1 of its tensors" in one_line(other.console)
    assert "the first at gate" in one_line(other.console)


def test_a_golden_folder_that_cannot_be_made_is_no_divergence(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "golden").write_text("in the way")
    with pytest.raises(SystemExit) as stop:
        main(["run", "--create-golden"])
    assert stop.value.code == 2
    assert "golden/hello.h5: cannot be written" in one_line(capsys.readouterr().err)


def test_json_holds_the_verdict(repository: Path) -> None:
    command = [sys.executable, "-m", "parity", "run", "--gate", "--create-golden", "--json", "-"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    judged = json.loads(done.stdout)["gate"]
    assert (done.returncode, judged["passes"], judged["exit_status"]) == (1, False, 1)
    assert [failure["kind"] for failure in judged["failures"]] == ["no_baseline"]


def test_a_damaged_baseline_is_said_before_anything_runs(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "parity-baseline.json").write_text("{}")
    with pytest.raises(SystemExit) as stop:
        main(["run", "--gate", "--create-golden"])
    assert stop.value.code == 2
    assert "parity-baseline.json: is no baseline" in capsys.readouterr().err
    assert not (repository / "golden").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--update-baseline"], "--update-baseline goes with --gate"),
        (["--junit", "x.xml"], "--junit goes with --gate"),
        (["--gate", "--update-baseline", "--accept-worse", "x"], "exclude one another"),
        (["--gate", "--accept-worse", " "], "--accept-worse has an empty reason"),
    ],
)
def test_options_that_do_not_go_together(
    repository: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["run", *options])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_golden_captures_need_a_folder(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "parity.toml").write_text(CONFIG.replace('golden = "golden"', ""))
    with pytest.raises(SystemExit) as stop:
        main(["run", "--create-golden"])
    assert stop.value.code == 2
    assert "names no folder of golden captures" in capsys.readouterr().err
