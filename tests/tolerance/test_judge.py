import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parity.metrics import metrics, pair_statistics_many
from parity.tolerance import Rule, Verdict, build_rule, dtype_floor, inconclusive, judge, preset

FLOOR = dtype_floor("float32")


@pytest.mark.parametrize(
    ("distance", "verdict"),
    [
        (0.99e-5, Verdict.WITHIN_NOISE),
        (1.01e-5, Verdict.DRIFT),
        (7.3e-4, Verdict.DRIFT),  # tanh GELU for exact GELU in Pocket TTS
        (0.99e-2, Verdict.DRIFT),
        (1.01e-2, Verdict.DIVERGENT),
        (3.0, Verdict.DIVERGENT),
    ],
)
def test_the_error_is_held_against_the_noise(measure, off, distance, verdict) -> None:
    found = judge(measure([off(distance)]), [FLOOR], Rule())
    assert found.verdicts == (verdict,)
    assert found.ok.tolist() == [verdict is Verdict.WITHIN_NOISE]


def test_same_bits_are_identical(measure, reference) -> None:
    found = judge(measure([reference]), [FLOOR], Rule())
    assert (found.verdicts, found.ok.tolist(), found.reasons) == (
        (Verdict.IDENTICAL,),
        [True],
        ("",),
    )


def test_reasons_say_what_failed_and_by_how_much(measure, off) -> None:
    found = judge(measure([off(7.3e-4)] * 2), [FLOOR] * 2, [Rule(), Rule(max_rel_l2=1e-5)])
    assert found.reasons == (
        "rel_l2 7.3e-04 > 1.0e-05 (2 times the noise floor 5.0e-06)",
        "rel_l2 7.3e-04 > 1.0e-05",
    )


def test_a_narrow_failure_does_not_read_like_equality(measure, off) -> None:
    reason = judge(measure([off(1.004e-5)]), [FLOOR], Rule()).reasons[0]
    assert reason.startswith("rel_l2 1.004e-05 > 1.000e-05 (")


@pytest.mark.parametrize("rule", [Rule(), Rule(max_abs=9e9), Rule(min_cosine=-1), Rule(exact=True)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_rule_accepts_what_is_not_finite_on_one_side(measure, reference, rule, bad) -> None:
    broken = reference.copy()
    broken[[17, 30]] = bad
    found = judge(measure([broken]), [1e9], rule)
    assert found.verdicts == (Verdict.NONFINITE,)
    assert not found.ok.any()
    assert found.reasons == (
        "2 of 500 elements are NaN or infinite, and not the same on both sides, "
        "the first at flat position 17",
    )


def test_nan_at_the_same_places_is_agreement(measure, reference) -> None:
    marked = reference.copy()
    marked[:3] = np.nan
    moved = marked * np.float32(1 + 1e-6)
    found = judge(measure([marked, moved], against=marked), [FLOOR] * 2, Rule())
    assert found.verdicts == (Verdict.IDENTICAL, Verdict.WITHIN_NOISE)
    payload = np.full(4, 0x7FC00001, np.uint32).view(np.float32)
    only_nan = measure([payload], against=np.full(4, np.nan, np.float32))
    for rule in (Rule(), Rule(min_cosine=0.9)):
        assert judge(only_nan, [FLOOR], rule).verdicts == (Verdict.WITHIN_NOISE,)
    assert not judge(only_nan, [FLOOR], Rule(exact=True)).ok.any()


@pytest.mark.parametrize(
    ("bound", "passing", "failing"),
    [
        ("max_rel_l2", 0.11, 0.09),
        ("max_rel_linf", 0.2, 0.01),
        ("max_abs", 1.0, 0.1),
        ("max_rmse", 0.11, 0.09),
        ("max_mismatch_share", 1.0, 0.9),
        ("min_cosine", 0.99, 0.999),
        ("min_pearson", 0.99, 0.999),
        ("min_snr_db", 19.0, 21.0),
    ],
)
def test_every_bound_can_pass_and_fail(measure, off, bound, passing, failing) -> None:
    found = measure([off(0.1)])
    accepted = judge(found, [FLOOR], Rule(**{bound: passing}))
    assert (accepted.verdicts, accepted.ok.tolist()) == ((Verdict.DRIFT,), [True])
    refused = judge(found, [FLOOR], Rule(**{bound: failing}))
    assert (refused.verdicts, refused.ok.tolist()) == ((Verdict.DIVERGENT,), [False])
    metric = {"max_abs": "max_abs", "max_ulp": "max_ulp"}.get(bound, bound[4:])
    assert refused.reasons[0].startswith(f"{metric} ")


def test_ulp_bound(measure, reference) -> None:
    near = np.nextafter(reference, np.float32(9))
    assert judge(measure([near]), [FLOOR], Rule(max_ulp=1)).ok.all()
    far = np.nextafter(near, np.float32(9))
    assert judge(measure([far]), [FLOOR], Rule(max_ulp=1)).reasons == ("max_ulp 2.0e+00 > 1.0e+00",)


def test_all_bounds_must_hold_and_all_failures_are_told(measure, off) -> None:
    rule = Rule(max_rel_l2=0.05, min_cosine=0.9999, max_abs=100)
    reason = judge(measure([off(0.1)]), [FLOOR], rule).reasons[0]
    assert reason.startswith("rel_l2 1.0e-01 > 5.0e-02; cosine 0.99")
    assert "max_abs" not in reason


def test_an_undefined_metric_fulfils_no_bound(measure) -> None:
    ones = np.ones(5, np.float32)
    found = judge(measure([ones + 1], against=ones), [FLOOR], Rule(min_pearson=-1.0))
    assert found.reasons == ("pearson is undefined here, and should be >= -1",)


def test_exact_accepts_the_same_bits_only(measure, reference) -> None:
    zeros = np.zeros(3, np.float32)
    found = judge(measure([-zeros, zeros], against=zeros), [FLOOR] * 2, Rule(exact=True))
    assert found.ok.tolist() == [False, True]
    assert found.verdicts == (Verdict.DRIFT, Verdict.IDENTICAL)
    assert "the bits differ" in found.reasons[0]


@pytest.mark.parametrize("dtype", ["int32", "bool"])
def test_integers_and_bool_have_no_noise(measure, dtype) -> None:
    base = np.array([0, 1, 1, 0]).astype(dtype)
    wrong = np.array([0, 1, 1, 1]).astype(dtype)
    for name in ("fp32", "fp16", "bf16"):
        found = judge(
            measure([base, wrong], against=base),
            [dtype_floor(dtype)] * 2,
            preset(name).rule_for("x"),
        )
        assert found.verdicts == (Verdict.IDENTICAL, Verdict.DIVERGENT)
        assert found.reasons[1] == "max_abs 1, where rounding explains no difference at all"


def test_a_zero_reference_accepts_flushed_subnormals_only(measure) -> None:
    zeros = np.zeros(4, np.float32)
    subnormal, small = zeros + np.float32(1e-40), zeros + np.float32(1e-20)
    found = judge(measure([zeros, subnormal, small], against=zeros), [FLOOR] * 3, Rule())
    assert found.ok.tolist() == [True, True, False]


def test_lower_precision_widens_the_noise(measure, off) -> None:
    errors = measure([off(1e-3), off(3e-2), off(0.5)])
    assert judge(errors, [FLOOR] * 3, build_rule("fp16")).ok.tolist() == [True, False, False]
    assert judge(errors, [FLOOR] * 3, build_rule("bf16")).ok.tolist() == [True, True, False]


def test_calibrated_floors_apply_tap_by_tap(measure, off) -> None:
    found = judge(measure([off(1e-4), off(1e-4)]), np.array([1e-4, 1e-6]), Rule())
    assert found.verdicts == (Verdict.WITHIN_NOISE, Verdict.DRIFT)


def test_the_story_accepts_what_the_noise_floor_does_not(measure, off) -> None:
    errors = measure([off(0.1), off(0.2)])
    story = preset("story")
    latents = judge(errors, [FLOOR] * 2, story.rules_for(["flow_lm.out_norm"] * 2))
    assert latents.ok.tolist() == [True, False]
    audio = judge(errors, [FLOOR] * 2, story.rules_for(["audio.chunk"] * 2))
    assert audio.ok.tolist() == [True, True]


def test_nothing_judged() -> None:
    found = judge(metrics(pair_statistics_many([], [])), np.zeros(0), Rule())
    assert (found.verdicts, found.reasons, found.ok.shape) == ((), (), (0,))


@given(st.floats(0, 10), st.floats(0, 1), st.floats(0, 1))
@settings(deadline=None)
def test_more_noise_never_makes_a_verdict_worse(distance, floor, other) -> None:
    low, high = sorted([floor, other])
    r = np.array([1.0, 0.0])
    errors = metrics(pair_statistics_many([r] * 2, [np.array([1.0 + distance, 0.0])] * 2))
    order = list(Verdict)
    strict, lax = judge(errors, np.array([low, high]), Rule()).verdicts
    assert order.index(lax) <= order.index(strict)


def test_agreement_that_shows_nothing_is_named() -> None:
    def why(*pairs: tuple[list[float], list[float]]) -> str:
        arrays = [tuple(np.array(side, np.float32) for side in pair) for pair in pairs]
        return inconclusive(metrics(pair_statistics_many(*map(list, zip(*arrays, strict=True)))))

    assert inconclusive(metrics(pair_statistics_many([], []))) == "no tensor was compared"
    assert why(([], [])) == "every compared tensor is empty"
    assert "NaN or infinities only" in why(([np.nan], [np.nan]))
    assert "one value only" in why(([0, 0], [0, 0]), ([3, 3], [3, 3]), ([0], [0]))
    assert why(([0, 0], [0, 0]), ([1, 2], [1, 2])) == ""
    assert why(([0, 0], [0, 1])) == ""
    assert why(([0.25], [0.25])) == ""
    assert why(([1, 1], [np.nan, np.nan])) == ""
