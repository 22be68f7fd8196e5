"""Every report says the same thing, escapes what it is given, and is whole or absent."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from rich.console import Console

from parity.diffing import DiffResult, diff
from parity.errors import InputError
from parity.report.console import print_result
from parity.report.files import RENDERERS, render, write_text
from parity.report.series import BARS, by_order, sparkline
from parity.report.words import first_line, headline

HOSTILE = "</td><script>alert(1)</script>|`[x](javascript:y)\x00\x1b[31m"


@pytest.fixture
def broken() -> DiffResult:
    drawn = np.random.default_rng(3)
    reference = {f"layer{i}": drawn.standard_normal(50) for i in range(6)}
    reference[HOSTILE] = drawn.standard_normal(5)
    candidate = {name: array.copy() for name, array in reference.items()}
    candidate["layer2"] *= 1.001
    candidate["layer4"][7] = np.nan
    candidate[HOSTILE] += 1
    return diff(reference, candidate)


@pytest.fixture
def held() -> DiffResult:
    arrays = {"a": np.arange(5.0), "b": np.arange(7.0)}
    return diff(arrays, arrays)


def test_the_headline_says_how_much_and_how_it_ends(broken: DiffResult) -> None:
    assert headline(broken) == (
        "Parity does not hold: 3 of 7 tensors on both sides differ too much."
    )
    assert first_line(broken).startswith("layer2 (tap, call 0): rel_l2 1.0e-03 > ")


def test_json_has_no_number_that_json_cannot_hold(broken: DiffResult) -> None:
    document = json.loads(render(broken, "json", title=""), parse_constant=pytest.fail)
    assert (document["outcome"], document["exit_status"]) == ("broken", 1)
    assert document["first_divergence"]["tap"] == "layer2"
    nan_row = next(row for row in document["taps"] if row["tap"] == "layer4")
    assert nan_row["metrics"]["rel_l2"] is None
    assert nan_row["metrics"]["nonfinite_mismatch"] == 1


def test_csv_has_one_line_a_tensor(broken: DiffResult) -> None:
    assert len(render(broken, "csv", title="").splitlines()) >= 8


def test_junit_fails_the_taps_that_fail(broken: DiffResult) -> None:
    suite = ET.fromstring(render(broken, "junit", title="port"))
    failing = [case.get("classname") for case in suite if case.find("failure") is not None]
    assert failing[:2] == ["layer2", "layer4"]
    assert (suite.get("name"), suite.get("failures"), suite.get("errors")) == ("port", "3", "0")


def test_what_was_not_compared_is_in_every_report() -> None:
    """Allowed to be missing is not the same as compared."""
    both = {"layer": np.arange(4.0), "output": np.arange(3.0)}
    result = diff(both | {"folded": np.ones(2)}, both | {"own": np.ones(2)},
                  allow_missing=["folded"])  # fmt: skip
    assert headline(result).startswith("Parity holds: 2 tensors at 2 taps agree.")
    note = "1 module is not compared, the candidate has no such tensor: folded"
    assert note in result.notes
    suite = ET.fromstring(render(result, "junit", title="port"))
    said = {case.get("classname"): case.find("skipped") for case in suite.findall("testcase")}
    skipped = {
        name: element.get("message") for name, element in said.items() if element is not None
    }
    assert skipped == {
        "folded": "not compared: missing in the candidate, at tap, call 0",
        "own": "not compared: only in the candidate, at tap, call 0",
    }
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("5", "0", "2")
    for form in ("junit", "markdown", "html"):
        text = render(result, form, title="port")
        assert note in text
        assert "2 of 3 modules (66.6 %)" in text
    assert json.loads(render(result, "json", title="port"))["model"]["uncompared"] == {
        "folded": "the candidate has no such tensor"
    }


def test_junit_of_an_inconclusive_comparison_is_an_error() -> None:
    suite = ET.fromstring(render(diff({}, {}), "junit", title="port"))
    assert suite.get("errors") == "1"
    assert suite.find("testcase/error") is not None


def test_markdown_cannot_be_broken_out_of(broken: DiffResult) -> None:
    text = render(broken, "markdown", title="t")
    assert "<script>" not in text.replace("`", "").split("\n## ")[0] or "`" in text
    row = next(line for line in text.splitlines() if "alert" in line and line.startswith("| "))
    assert row.count(" | ") == 6


def test_the_console_shows_no_control_characters(broken: DiffResult) -> None:
    console = Console(record=True, width=100, file=Path("/dev/null").open("w"))  # noqa: SIM115
    print_result(broken, console)
    text = console.export_text()
    console.file.close()
    assert "\x1b" not in text
    assert "layer2" in text
    assert "Parity does not hold" in text


def test_the_console_is_short_where_all_is_well(held: DiffResult) -> None:
    console = Console(record=True, width=80, file=Path("/dev/null").open("w"))  # noqa: SIM115
    print_result(held, console)
    text = console.export_text()
    console.file.close()
    assert "Parity holds" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_bars_follow_the_error() -> None:
    assert sparkline(np.array([1e-8, 1e-4, 1.0])) == f"{BARS[0]}{BARS[4]}{BARS[-1]}"
    assert sparkline(np.array([0.0, 0.0])) == BARS[0] * 2
    assert sparkline(np.array([0.0, np.inf])) == f"{BARS[0]}×"
    assert len(sparkline(np.geomspace(1e-6, 1, 500), width=60)) == 60


def test_the_series_keeps_the_largest_of_each_stretch(broken: DiffResult) -> None:
    series = by_order(broken, bins=3)
    assert series.size == 3
    assert np.isinf(series).any()


@pytest.mark.parametrize("kind", RENDERERS)
def test_every_format_renders_every_outcome(
    kind: str, broken: DiffResult, held: DiffResult
) -> None:
    for result in (broken, held, diff({}, {})):
        assert render(result, kind, title="title")


def test_a_report_replaces_the_last_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.md"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_a_report_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_text(tmp_path / "file" / "report.md", "text")


def test_a_report_never_replaces_a_capture_or_a_device(
    tmp_path: Path, capture_of: Callable[..., Path]
) -> None:
    capture = capture_of("a.h5", {"x": np.arange(3.0)})
    before = capture.read_bytes()
    with pytest.raises(InputError, match="is a capture, and is kept"):
        write_text(capture, "text")
    assert capture.read_bytes() == before
    with pytest.raises(InputError, match="is not a plain file"):
        write_text("/dev/null", "text")
    with pytest.raises(InputError, match="is a folder"):
        write_text(tmp_path, "text")
