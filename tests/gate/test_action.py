"""The action for GitHub, and what docs/ci.md says."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from parity.gate.result import Kind
from parity.gate.words import NAMES
from parity.run import load_config

ROOT = Path(__file__).resolve().parents[2]
FAKE = '#!/bin/bash\nprintf "%s\\n" "$@" > called\nexit ${STATUS}\n'
GUIDE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")


def gate_script() -> str:
    yaml = pytest.importorskip("yaml")
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    (script,) = (step["run"] for step in action["runs"]["steps"] if step.get("id") == "gate")
    assert "${{" not in script, "inputs pasted into a script are commands"
    return str(script)


def run_action(folder: Path, **inputs: str) -> tuple[int, list[str], str]:
    """Exit status, arguments of `parity`, and the step's outputs."""
    (folder / "parity").write_text(FAKE)
    (folder / "parity").chmod(0o755)
    given = dict.fromkeys(("CONFIG", "CANDIDATES", "CASES", "DIAGNOSE", "REPORTS"), "") | inputs
    output = folder / "output"
    surroundings = {**os.environ, **given, "GITHUB_OUTPUT": str(output),
                    "PATH": f"{folder}:{os.environ['PATH']}"}  # fmt: skip
    # As GitHub calls `shell: bash`.
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", gate_script()]
    done = subprocess.run(command, cwd=folder, env=surroundings, check=False)
    return done.returncode, (folder / "called").read_text().splitlines(), output.read_text()


@pytest.mark.parametrize("status", [0, 1, 2, 3])
def test_the_action_passes_the_exit_status_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("STATUS", str(status))
    found, called, output = run_action(tmp_path, REPORTS="reports")
    assert found == status
    assert output == f"exit-status={status}\n"
    assert called == ["run", "--gate", "--junit", "reports/parity.xml", "--no-diagnose", "--"]


def test_its_inputs_are_arguments_and_never_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATUS", "0")
    hostile = "x; touch broken $(touch broken)"
    _, called, _ = run_action(
        tmp_path, CONFIG=hostile, CANDIDATES="rust mlx\n--fresh\n", CASES="a *", DIAGNOSE="true"
    )
    options = ["--gate", "--config", hostile, "--case", "a *"]
    assert called == ["run", *options, "--", "rust", "mlx", "--fresh"]
    assert not (tmp_path / "broken").exists()


def test_the_guide_names_every_reason() -> None:
    table = dict(re.findall(r"^\| ([a-z ]+?) \| .* \| (\d) \|$", GUIDE, re.MULTILINE))
    assert table == {NAMES[kind]: str(kind.exit_status) for kind in Kind}


def test_the_guides_configuration_is_understood(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    more = '[subject]\nname = "x"\n[[cases]]\nname = "a"\n[candidates.rust]\nbackend = "files"\n'
    (tmp_path / "parity.toml").write_text(more + block)
    config = load_config(tmp_path / "parity.toml")
    assert config.reference.golden == "golden"
    assert config.gate.expected[0].until.year == 2026
    assert config.gate.min_coverage == 0.95


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("reason = ''\nuntil = 2026-01-01", "empty reason"),
        ("reason = 'x'", "until"),
        ("reason = 'x'\nuntil = 'soon'", "until"),
        ("reason = 'x'\nuntil = 2026-01-01\ntaps = 'a'", "taps"),
    ],
)
def test_an_entry_that_is_not_understood_is_an_error(
    tmp_path: Path, entry: str, message: str
) -> None:
    more = '[subject]\nname = "x"\n[reference]\n[[cases]]\nname = "a"\n[candidates.p]\n'
    (tmp_path / "parity.toml").write_text(f"{more}[[gate.expected]]\n{entry}\n")
    with pytest.raises(Exception, match=message):
        load_config(tmp_path / "parity.toml")
