"""The ratchet's file: read with care, written for a review, moved one way."""

from collections.abc import Callable
from pathlib import Path

import pytest
from gate.conftest import TODAY, compared, listed, tensors
from hypothesis import given
from hypothesis import strategies as st

from parity.errors import ConfigError
from parity.gate import Baseline, Best, GateResult, load_baseline, save_baseline, tighten
from parity.gate import accept_worse as accept

Judged = Callable[..., GateResult]
KEY = ("hello", "port")


def test_it_comes_back_as_it_was_written(tmp_path: Path) -> None:
    entry = {"date": "2026-06-01", "reason": "fp16", "case": "a", "candidate": "b"}
    written = Baseline({KEY: Best(0.5, {"b:tap": 0.0, "a:output.1": 0.25})}, (entry,))
    save_baseline(tmp_path / "b.json", written)
    read = load_baseline(tmp_path / "b.json")
    assert read == written
    lines = (tmp_path / "b.json").read_text().splitlines()
    assert '     "a:output.1": 0.25,' in lines, "one tap a line, so that a review shows what moved"


@given(st.floats(0, 1e30))
def test_rounding_never_makes_a_run_worse_than_itself(error: float) -> None:
    from parity.gate.baseline import _rounded_up

    assert error <= _rounded_up(error) <= error * 1.02


def test_no_file_is_no_baseline(tmp_path: Path) -> None:
    assert load_baseline(tmp_path / "b.json") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no baseline"),
        ("[]", "is no baseline"),
        ('{"format": "x", "version": 1, "cases": {}}', "'x' version 1"),
        ('{"format": "parity-baseline", "version": 9, "cases": {}}', "version 9"),
        (
            '{"format": "parity-baseline", "version": 1, "cases": {"c": {"p": '
            '{"coverage": 1, "taps": {"a:tap": -1}}}}}',
            "the error of a:tap is no number",
        ),
        (
            '{"format": "parity-baseline", "version": 1, "cases": {"c": {"p": '
            '{"coverage": 7, "taps": {}}}}}',
            "the coverage is no number",
        ),
    ],
)
def test_a_damaged_file_is_an_error_and_not_an_empty_baseline(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_baseline(tmp_path / "b.json")


def test_what_passes_enters(judged: Judged) -> None:
    result = judged(compared(tensors(layer1=1 + 2e-6)), baseline=Baseline())
    best = tighten(result, None).pairs[KEY]
    assert best.coverage == 1.0
    assert best.errors["layer0:tap"] == 0.0
    assert best.errors["layer1:tap"] == pytest.approx(2e-6, rel=0.1)


def test_it_moves_to_the_better_only(judged: Judged) -> None:
    was = Baseline({KEY: Best(1.0, {"layer0:tap": 1e-6, "layer1:tap": 0.0, "layer2:tap": 0.0})})
    result = judged(compared(tensors(layer1=1 + 2e-6)), baseline=was)
    assert result.passes
    assert tighten(result, was).pairs[KEY].errors == dict.fromkeys(was.pairs[KEY].errors, 0.0)


def test_what_does_not_pass_does_not_enter(judged: Judged) -> None:
    result = judged(compared(tensors(layer1=1.01)), baseline=Baseline())
    assert tighten(result, None).pairs == {}


def test_a_listed_failure_enters(judged: Judged) -> None:
    comparison = compared(tensors(layer1=1.01))
    result = judged(comparison, expected=(listed(tap="layer1"),), baseline=Baseline())
    assert tighten(result, None).pairs[KEY].errors["layer1:tap"] == pytest.approx(0.01, rel=1e-3)


def test_worse_is_accepted_with_a_reason_only(judged: Judged) -> None:
    was = Baseline({KEY: Best(1.0, dict.fromkeys(("layer0:tap", "layer1:tap", "layer2:tap"), 0.0))})
    worse = compared(tensors(layer1=1 + 8e-6))
    result = judged(worse, baseline=was)
    assert not result.passes
    assert tighten(result, was).pairs == was.pairs
    moved = accept(result, was, reason="a faster kernel", today=TODAY)
    assert judged(worse, baseline=moved).passes
    assert moved.accepted == (
        {
            "date": "2026-06-01",
            "reason": "a faster kernel",
            "case": "hello",
            "candidate": "port",
        },
    )


def test_a_crash_does_not_empty_an_entry(judged: Judged) -> None:
    was = Baseline({KEY: Best(1.0, {"layer0:tap": 0.0})})
    result = judged(compared(tensors(), problem="died"), baseline=was)
    assert accept(result, was, reason="x", today=TODAY).pairs == was.pairs
    assert tighten(result, was).pairs == was.pairs


def test_what_was_not_run_goes_with_a_reason(judged: Judged) -> None:
    was = Baseline({KEY: Best(1.0, {}), ("bye", "port"): Best(1.0, {})})
    result = judged(compared(tensors()), baseline=was)
    moved = accept(result, was, reason="the case was wrong", today=TODAY)
    assert set(moved.pairs) == {KEY}
    assert moved.accepted[-1]["case"] == "bye"
    part = accept(result, was, reason="x", today=TODAY, whole=False)
    assert set(part.pairs) == set(was.pairs)
