"""What the gate lets pass, and what it does not: each rule is seen to fail."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from gate.conftest import TODAY, compared, listed, tensors

import parity
from parity.gate import Baseline, Best, GateResult, Kind
from parity.run import CaptureState, Comparison
from parity.tensors import TapPlan

Judged = Callable[..., GateResult]
ALL = {f"layer{i}:tap": 0.0 for i in range(3)}


def kinds(result: GateResult) -> list[tuple[Kind, str]]:
    return [(failure.kind, failure.tap) for failure in result.failures]


def test_what_holds_passes(judged: Judged) -> None:
    result = judged(compared(tensors()))
    assert (result.passes, result.exit_status) == (True, 0)


def test_each_tap_that_differs_is_a_failure_in_execution_order(judged: Judged) -> None:
    result = judged(compared(tensors(layer1=1.01, layer2=1.02)))
    assert kinds(result) == [(Kind.DIVERGENCE, "layer1"), (Kind.DIVERGENCE, "layer2")]
    assert result.exit_status == 1
    assert "rel_l2 1.0e-02 > 1.0e-05" in result.failures[0].words


def test_nan_does_not_pass(judged: Judged) -> None:
    broken = tensors()
    broken["layer1"][3] = np.nan
    assert kinds(judged(compared(broken))) == [(Kind.DIVERGENCE, "layer1")]


def test_a_candidate_that_did_not_run_does_not_pass(judged: Judged) -> None:
    result = judged(compared(tensors(), problem="SIGSEGV after layer1"))
    assert kinds(result) == [(Kind.DID_NOT_RUN, "")]
    assert result.exit_status == 2
    assert "SIGSEGV after layer1" in result.failures[0].words


def test_nothing_compared_does_not_pass(judged: Judged) -> None:
    result = judged(compared({"other": np.ones(3, np.float32)}))
    assert kinds(result) == [(Kind.INCONCLUSIVE, "")]
    assert judged(compared(dict.fromkeys(tensors(), tensors()["layer0"]))).exit_status != 0


def test_constant_tensors_are_inconclusive(judged: Judged) -> None:
    flat = {"a": np.ones(4, np.float32)}
    state = CaptureState(Path("none.h5"))
    result = judged(Comparison("hello", "port", state, state, parity.diff(flat, flat)))
    assert kinds(result) == [(Kind.INCONCLUSIVE, "")]
    assert result.exit_status == 3


class TestSkips:
    def test_a_tap_that_the_tolerance_allows_to_be_missing_is_a_failure(
        self, judged: Judged
    ) -> None:
        fewer = tensors()
        del fewer["layer2"]
        comparison = compared(fewer, allow_missing=("layer2",))
        assert comparison.exit_status == 0
        assert kinds(judged(comparison)) == [(Kind.NOT_COMPARED, "layer2")]

    def test_unless_it_is_listed(self, judged: Judged) -> None:
        fewer = tensors()
        del fewer["layer2"]
        comparison = compared(fewer, allow_missing=("layer2",))
        result = judged(comparison, skip=(listed(tap="layer2"),))
        assert result.passes
        assert result.forgiven[0].entry.reason == "issue 7"

    def test_a_candidate_may_be_left_out_where_it_cannot_run(self, judged: Judged) -> None:
        comparison = compared(tensors(), name="coreml", problem="needs a Mac")
        assert judged(comparison, skip=(listed(candidate="coreml"),)).passes
        assert not judged(comparison, skip=(listed(candidate="rust"),)).passes
        assert not judged(comparison, skip=(listed(candidate="coreml", case="other"),)).passes

    def test_an_entry_about_a_tap_does_not_excuse_a_crash(self, judged: Judged) -> None:
        result = judged(compared(tensors(), problem="died"), skip=(listed(tap="layer*"),))
        assert result.exit_status == 2

    def test_a_divergence_cannot_be_skipped(self, judged: Judged) -> None:
        result = judged(compared(tensors(layer1=2.0)), skip=(listed(),))
        assert (Kind.DIVERGENCE, "layer1") in kinds(result)


class TestExpected:
    def test_a_listed_failure_passes(self, judged: Judged) -> None:
        result = judged(compared(tensors(layer1=1.01)), expected=(listed(tap="layer1"),))
        assert result.passes
        assert result.forgiven[0].failure.tap == "layer1"

    def test_only_where_it_is_listed(self, judged: Judged) -> None:
        both = compared(tensors(layer1=1.01)), compared(tensors(layer1=1.01), case="bye")
        result = judged(*both, expected=(listed(tap="layer1", case="hello"),))
        assert [failure.case for failure in result.failures] == ["bye"]

    def test_until_its_last_day(self, judged: Judged) -> None:
        entry = listed(tap="layer1", until=TODAY)
        comparison = compared(tensors(layer1=1.01))
        assert judged(comparison, expected=(entry,)).passes
        late = judged(comparison, expected=(entry,), today=TODAY + timedelta(days=1))
        assert kinds(late) == [(Kind.DIVERGENCE, "layer1")]
        assert "listed until 2026-06-01 (issue 7)" in late.failures[0].words

    def test_an_entry_that_nothing_fails_by_is_stale(self, judged: Judged) -> None:
        entry = listed(tap="layer1")
        assert kinds(judged(compared(tensors()), expected=(entry,))) == [(Kind.STALE, "layer1")]
        # Of a part of the run nobody can say.
        assert judged(compared(tensors()), expected=(entry,), whole=False).passes

    def test_a_crash_cannot_be_expected(self, judged: Judged) -> None:
        result = judged(compared(tensors(), problem="died"), expected=(listed(),))
        assert result.exit_status == 2


class TestCoverage:
    def test_below_the_minimum_is_a_failure(self, judged: Judged) -> None:
        fewer = tensors()
        del fewer["layer2"]
        comparison = compared(fewer, allow_missing=("layer2",))
        entry = listed(tap="layer2")
        assert judged(comparison, skip=(entry,), min_coverage=0.6).passes
        result = judged(comparison, skip=(entry,), min_coverage=0.7)
        assert kinds(result) == [(Kind.COVERAGE, "")]
        assert "66.7%" in result.failures[0].words

    def test_so_is_a_model_of_which_too_little_was_compared(
        self, judged: Judged, tmp_path: Path
    ) -> None:
        for name, left_out in (("reference.h5", ()), ("port.h5", ("1",))):
            torch.manual_seed(0)
            net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 1, bias=False))
            with parity.record(tmp_path / name, net, plan=TapPlan(exclude=left_out)):
                net(torch.ones(1, 4) / 3)
        result = parity.diff(tmp_path / "reference.h5", tmp_path / "port.h5", allow_missing=["1"])
        state = CaptureState(tmp_path / "reference.h5")
        comparison = Comparison("hello", "port", state, state, result)
        entry = listed(tap="1")
        assert judged(comparison, skip=(entry,), min_parameters=0.8).passes
        refused = judged(comparison, skip=(entry,), min_parameters=0.9)
        assert kinds(refused) == [(Kind.COVERAGE, "")]
        assert "83.3%" in refused.failures[0].words

    def test_it_may_not_fall_below_the_baseline(self, judged: Judged) -> None:
        fewer = tensors()
        del fewer["layer2"]
        comparison = compared(fewer, allow_missing=("layer2",))
        best = Baseline({("hello", "port"): Best(1.0, ALL)})
        result = judged(comparison, skip=(listed(tap="layer2"),), baseline=best)
        assert (Kind.COVERAGE, "") in kinds(result)


class TestRatchet:
    best = Baseline({("hello", "port"): Best(1.0, ALL)})

    def test_an_error_within_the_floor_of_the_best_passes(self, judged: Judged) -> None:
        near = compared(tensors(layer1=1 + 4e-6))
        assert near.exit_status == 0
        assert judged(near, baseline=self.best).passes

    def test_one_beyond_it_does_not_though_the_tolerance_accepts_it(self, judged: Judged) -> None:
        worse = compared(tensors(layer1=1 + 8e-6))
        assert worse.exit_status == 0
        result = judged(worse, baseline=self.best)
        assert kinds(result) == [(Kind.WORSE, "layer1")]
        assert "up from 0 in the baseline" in result.failures[0].words

    def test_the_floor_is_that_of_the_precision_the_rules_name(self, judged: Judged) -> None:
        half = compared(tensors(layer1=1 + 1e-3), tolerance="fp16")
        assert half.exit_status == 0
        assert judged(half, baseline=self.best, tolerance="fp16").passes
        assert not judged(half, baseline=self.best, tolerance="fp32").passes

    def test_a_listed_failure_may_not_get_worse(self, judged: Judged) -> None:
        was = Baseline({("hello", "port"): Best(1.0, ALL | {"layer1:tap": 0.01})})
        entry = listed(tap="layer1")
        assert judged(compared(tensors(layer1=1.01)), expected=(entry,), baseline=was).passes
        result = judged(compared(tensors(layer1=1.05)), expected=(entry,), baseline=was)
        assert kinds(result) == [(Kind.WORSE, "layer1")]

    def test_better_is_said(self, judged: Judged) -> None:
        was = Baseline({("hello", "port"): Best(1.0, ALL | {"layer1:tap": 0.01})})
        result = judged(compared(tensors()), baseline=was)
        assert result.passes
        assert result.improved == ("port on hello: layer1:tap 1.0e-02 -> 0",)

    def test_no_entry_does_not_pass(self, judged: Judged) -> None:
        result = judged(compared(tensors()), baseline=Baseline())
        assert kinds(result) == [(Kind.NO_BASELINE, "")]
        assert "--update-baseline" in result.failures[0].hint

    def test_a_tap_of_the_baseline_that_is_gone_does_not_pass(self, judged: Judged) -> None:
        more = Baseline({("hello", "port"): Best(1.0, ALL | {"layer9:tap": 0.0})})
        assert kinds(judged(compared(tensors()), baseline=more)) == [(Kind.GONE, "layer9")]

    def test_a_case_that_nobody_ran_does_not_pass(self, judged: Judged) -> None:
        more = replace(self.best, pairs=dict(self.best.pairs) | {("bye", "port"): Best(1.0, ALL)})
        result = judged(compared(tensors()), baseline=more)
        assert kinds(result) == [(Kind.GONE, "")]
        assert result.failures[0].case == "bye"
        assert judged(compared(tensors()), baseline=more, whole=False).passes


@pytest.mark.parametrize(
    ("faults", "status"), [((2, 1, 3), 2), ((1, 3), 1), ((3,), 3), ((), 0)], ids=str
)
def test_the_worst_decides_the_exit_status(
    judged: Judged, faults: tuple[int, ...], status: int
) -> None:
    made = {
        1: compared(tensors(layer1=2.0), case="differs"),
        2: compared(tensors(), case="died", problem="died"),
        3: compared({"x": np.ones(2, np.float32)}, case="nothing"),
    }
    result = judged(*(made[fault] for fault in faults))
    assert result.exit_status == status
