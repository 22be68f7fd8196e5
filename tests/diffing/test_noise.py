"""Which noise floor a row is judged by: measured where the reference has one, else by its type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parity.diffing import Outcome, diff
from parity.diffing.near import near
from parity.report.console import print_result
from parity.report.machine import to_dict
from parity.store import RecordFloors, open_capture, write_floors
from parity.tolerance import Rule, Tolerance, Verdict

CaptureOf = Callable[..., Path]
Array = np.ndarray


def taps(dtype: str = "float32") -> dict[str, Array]:
    drawn = np.random.default_rng(7)
    return {f"layer{i}": drawn.standard_normal((4, 60)).astype(dtype) for i in range(3)}


def off(arrays: dict[str, Array], by: float) -> dict[str, Array]:
    """Each tensor with a relative error of `by`."""
    drawn = np.random.default_rng(8)
    return {
        name: (x + by * np.abs(x) * drawn.choice([-1, 1], x.shape)).astype(x.dtype)
        for name, x in arrays.items()
    }


def calibrated(path: Path, *floors: float, precision: str = "float32") -> Path:
    unstable = np.zeros(len(floors), bool)
    write_floors(path, {precision: RecordFloors(np.array(floors), unstable, {})})
    return path


def test_a_measured_floor_goes_before_that_of_the_type(capture_of: CaptureOf) -> None:
    reference = calibrated(capture_of("reference.h5", taps()), 1e-6, 1e-7, 1e-4)
    result = diff(reference, off(taps(), 1.5e-6))
    assert [row.verdict for row in result] == [
        Verdict.WITHIN_NOISE, Verdict.DRIFT, Verdict.WITHIN_NOISE
    ]  # fmt: skip
    assert [row.floor for row in result] == [1e-6, 1e-7, 1e-4]
    assert result.outcome is Outcome.BROKEN
    assert "2 times the noise floor 1.0e-07" in result.failures[0].reason
    assert result.floors.source == "calibrated"
    # By the type alone all would pass.
    assert diff(capture_of("bare.h5", taps()), off(taps(), 1.5e-6)).outcome is Outcome.HOLDS


def test_an_error_far_beyond_a_measured_floor_is_still_named_by_its_size(
    capture_of: CaptureOf,
) -> None:
    reference = calibrated(capture_of("reference.h5", taps()), 1e-7, 1e-7, 1e-7)
    assert set(diff(reference, off(taps(), 5e-3)).counts) == {Verdict.DRIFT}
    assert set(diff(reference, off(taps(), 5e-2)).counts) == {Verdict.DIVERGENT}


def test_where_none_was_measured_the_type_decides(capture_of: CaptureOf) -> None:
    reference = calibrated(capture_of("reference.h5", taps()), 1e-7, np.nan, 1e-7)
    result = diff(reference, off(taps(), 1e-7))
    assert [row.calibrated for row in result] == [True, False, True]
    assert result["layer1"][0].floor == 5e-6
    assert result.floors.source == "mixed"
    said = "calibrated (float32), and for 1 tensors derived from the element type"
    assert result.floors.words == said


@pytest.mark.parametrize(
    ("rule", "dtype", "floor"),
    [
        (Rule(), "float32", 1e-7),
        (Rule(precision="float16"), "float32", 2e-3),
        (Rule(any_dtype=True), "float16", 2e-3),
        (Rule(any_dtype=True), "float64", 1e-7),
        (Rule(precision="bfloat16"), "float32", 6e-2),
        (Rule(precision="float32", any_dtype=True), "float16", 1e-7),
    ],
    ids=["by type", "by rule", "half", "double", "not measured", "rule before type"],
)
def test_the_precision_of_the_candidate_decides_which(
    capture_of: CaptureOf, rule: Rule, dtype: str, floor: float
) -> None:
    reference = calibrated(capture_of("reference.h5", taps()), 1e-7, 1e-7, 1e-7)
    calibrated(reference, 2e-3, 2e-3, 2e-3, precision="float16")
    port = {name: x.astype(dtype) for name, x in taps().items()}
    # The reasons name the floor that rows were judged by.
    far = {name: x * 2 for name, x in port.items()}
    result = diff(reference, far, tolerance=Tolerance((("*", rule),)))
    assert f"the noise floor {floor:.1e}" in result.failures[0].reason


def test_exact_types_stay_exact(capture_of: CaptureOf) -> None:
    ids = {"ids": np.arange(9), "x": taps()["layer0"]}
    reference = calibrated(capture_of("reference.h5", ids), 1e-3, 1e-3)
    result = diff(reference, {"ids": np.arange(9)[::-1], "x": ids["x"]})
    assert result["ids"][0].verdict is Verdict.DIVERGENT
    assert result["ids"][0].floor == 0.0
    assert not result["ids"][0].calibrated


def test_scalars_that_cancel_are_judged_beside_their_other_calls(capture_of: CaptureOf) -> None:
    calls = [("logit", np.array([x], np.float32)) for x in (1.0, 1.1, 0.9, 1e-3)]
    port = [("logit", array + np.float32(1.5e-7)) for _, array in calls]
    reference = calibrated(capture_of("reference.h5", calls), *[2e-7] * 4)
    result = diff(reference, capture_of("port.h5", port))
    assert result.outcome is Outcome.HOLDS
    assert result["logit"][3].floor == pytest.approx(2e-7 * 950, rel=0.1)


def test_a_note_and_the_screen_say_where_floors_come_from(
    capture_of: CaptureOf, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = capture_of("reference.h5", taps())
    result = diff(reference, taps())
    words = f"derived from the element type; `parity calibrate {reference}` measures them"
    assert result.notes == (f"noise floors: {words}",)
    print_result(result)
    shown = " ".join(capsys.readouterr().out.split())
    assert "noise floors derived from the element type; `parity calibrate" in shown
    assert "note:" not in shown
    calibrated(reference, 1e-6, 1e-6, 1e-6)
    result = diff(reference, taps())
    assert result.notes == ("noise floors: calibrated (float32)",)
    print_result(result)
    assert "noise floors calibrated (float32)" in " ".join(capsys.readouterr().out.split())


def test_arrays_have_nothing_to_measure() -> None:
    result = diff(taps(), taps())
    assert result.notes == ()
    assert result.floors.words == "derived from the element type"


def test_json_and_table_carry_the_source(capture_of: CaptureOf) -> None:
    reference = calibrated(capture_of("reference.h5", taps()), 1e-6, np.nan, 1e-6)
    result = diff(reference, taps())
    document = to_dict(result)
    assert document["floors"] == {
        "source": "mixed", "precisions": ["float32"], "calibrated": 2, "derived": 1,
    }  # fmt: skip
    sources = [row["floor_source"] for row in document["taps"]]
    assert sources == ["calibrated", "derived", "calibrated"]
    assert result.to_frame()["calibrated"].tolist() == [True, False, True]


def test_floors_of_the_candidate_are_none_of_the_reference(capture_of: CaptureOf) -> None:
    port = calibrated(capture_of("port.h5", off(taps(), 1e-3)), 1.0, 1.0, 1.0)
    with open_capture(port) as capture:
        assert diff(taps(), capture).outcome is Outcome.BROKEN


def test_a_path_below_this_folder_is_shown_from_here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert near(tmp_path / "runs" / "reference.h5") == "runs/reference.h5"
    assert near("/elsewhere/reference.h5") == "/elsewhere/reference.h5"
    assert near("arrays in memory") == "arrays in memory"
