"""What CI systems read: JUnit XML, Markdown, workflow commands; with names of other people's."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

from gate.conftest import compared, listed, tensors

from parity.gate import GateResult
from parity.gate.annotations import github_commands
from parity.gate.junit import to_junit
from parity.gate.screen import screen
from parity.gate.summary import to_markdown
from tests_text import text_of

Judged = Callable[..., GateResult]
HOSTILE = 'a<b>&"\x1b[31m|`*'


def test_junit_has_a_case_a_tap(judged: Judged) -> None:
    comparisons = compared(tensors(layer1=1.01, layer2=2.0)), compared(tensors(), problem="died",
                                                                      case="bye")  # fmt: skip
    root = ET.fromstring(to_junit(judged(*comparisons, expected=(listed(tap="layer2"),))))
    suite = root.find("testsuite[@name='port on hello']")
    assert suite is not None
    states = {
        case.get("name"): [child.tag for child in case if child.tag != "system-out"]
        for case in suite
    }
    assert states == {"verdict": [], "layer0": [], "layer1": ["failure"], "layer2": ["skipped"]}
    skipped = suite.find("testcase[@name='layer2']/skipped")
    assert skipped is not None
    assert "issue 7 (until 2026-06-01)" in str(skipped.get("message"))
    died = root.find("testsuite[@name='port on bye']/testcase[@name='verdict']/error")
    assert died is not None
    assert "died" in str(died.text)
    cases = list(root.iter("testcase"))
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == (
        str(len(cases)), "1", "1", "1",
    )  # fmt: skip


def test_what_belongs_to_no_comparison_has_a_case_of_its_own(judged: Judged) -> None:
    root = ET.fromstring(to_junit(judged(compared(tensors()), expected=(listed(case="gone"),))))
    failure = root.find("testsuite[@name='gate']/testcase/failure")
    assert failure is not None
    assert "remove the entry" in str(failure.text)


def test_the_summary_names_the_first_divergence(judged: Judged) -> None:
    text = to_markdown(judged(compared(tensors(layer1=1.01, layer2=2.0))))
    assert text.startswith("## ❌ The gate does not pass: 2 reasons in 1 of 1 comparison.")
    assert "**First divergence** of port on hello: layer1 (tap, call 0)" in text
    assert to_markdown(judged(compared(tensors()))).startswith("## ✅ The gate passes")


def test_the_screen_says_the_same(judged: Judged) -> None:
    shown = text_of(screen(judged(compared(tensors(layer1=1.01)))), width=200)
    assert "✗ The gate does not pass: 1 reason in 1 of 1 comparison." in shown
    assert "first divergence  port on hello: layer1 (tap, call 0)" in shown


def test_names_cannot_become_markup_or_commands(judged: Judged, tmp_path: Path) -> None:
    name = f"{HOSTILE}\n::error::x"
    comparison = compared(tensors(layer1=2.0), name=name, case="50%")
    result = judged(comparison)
    ET.fromstring(to_junit(result))
    assert "<b>" not in to_markdown(result)
    file = tmp_path / "parity.toml"
    file.write_text("[subject]\n[candidates.port]\n")
    (command,) = github_commands(result, file, root=tmp_path)
    assert "\n" not in command
    assert "\x1b" not in command
    assert "50%25" in command


def test_annotations_mark_the_candidate_in_the_configuration(
    judged: Judged, tmp_path: Path
) -> None:
    file = tmp_path / "sub" / "parity.toml"
    file.parent.mkdir()
    file.write_text("[subject]\n\n[candidates.other]\n[candidates.port]\n")
    result = judged(compared(tensors(layer1=1.01, layer2=2.0)))
    (command,) = github_commands(result, file, root=tmp_path)
    assert command.startswith("::error file=sub/parity.toml,line=4,title=parity%3A divergence::")
    assert "port on hello: layer1" in command
    assert command.endswith("; and at 1 more tap")
