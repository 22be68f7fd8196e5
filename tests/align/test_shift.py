"""A constant offset between call numbers."""

import numpy as np
import pytest


def sides(run, rng, *, extra: int, calls: int = 8, paths: str = "abc", noise: float = 0.0):
    """Two runs, of which the first has `extra` calls before those that both have."""
    longer, shorter = run(), run()
    for call in range(calls + extra):
        for path in paths:
            x = rng.normal(size=(1, 1, 16))
            longer.put(f"m.{path}", x, "generate")
            if call >= extra:
                shorter.put(f"m.{path}", x + noise * rng.normal(size=x.shape), "generate")
    return longer, shorter


@pytest.mark.parametrize("extra", [1, 2])
def test_extra_calls_of_the_reference_are_seen_by_values(run, rng, extra: int) -> None:
    reference, candidate = sides(run, rng, extra=extra, noise=1e-3)
    result = reference.against(candidate)
    assert [(i - j) for i, j in result.pairs] == [3 * extra] * 24
    assert result.missing.tolist() == list(range(3 * extra))
    assert result.notes == (
        f"call n of the candidate's m.* stands beside call n+{extra} of the reference's, by their "
        f"values ({8 + extra} and 8 calls) (3 taps)",
    )


def test_both_sides_may_have_calls_of_their_own(run, rng) -> None:
    reference, candidate = sides(run, rng, extra=2)
    for path in "abc":
        candidate.put(f"m.{path}", rng.normal(size=(1, 1, 16)), "generate")
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert len(result.pairs) == 24
    assert result.extra.tolist() == [24, 25, 26]


def test_an_extra_call_of_the_candidate_is_seen_by_values(run, rng) -> None:
    candidate, reference = sides(run, rng, extra=1)
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert result.extra.tolist() == [0, 1, 2]
    assert "call n+1 of the candidate's m.* stands beside call n of" in result.notes[0]


def test_without_evidence_calls_are_paired_from_the_first_on_and_that_is_said(run, rng) -> None:
    reference, candidate = sides(run, rng, extra=2)
    for one in (
        reference.against(candidate.without_statistics()),
        reference.against(sides(run, np.random.default_rng(99), extra=2)[1]),
    ):
        assert [(i, j) for i, j in one.pairs] == [(i, i) for i in range(24)]
        assert one.notes == (
            "m.* ran 10 times in the reference and 8 times in the candidate: paired from the first "
            "call on (3 taps)",
        )


def test_shapes_of_one_tap_decide_for_all_that_ran_as_often(run, rng) -> None:
    reference, candidate = run(), run()
    for length in (12, 5, 1, 1, 1, 1):
        reference.put("backbone", rng.normal(size=(1, length, 8)))
        reference.put("flow", rng.normal(size=(1, 8)))
        if length == 1:
            candidate.put("backbone", rng.normal(size=(1, 1, 8)))
            candidate.put("flow", rng.normal(size=(1, 8)))
    result = reference.against(candidate)
    assert [(i - j) for i, j in result.pairs] == [4] * 8
    assert "by their shapes (6 and 4 calls) (2 taps)" in result.notes[0]


def test_a_shift_with_equally_many_calls_needs_all_taps(run, rng) -> None:
    reference, candidate = run(), run()
    draws = {path: [rng.normal(size=(1, 16)) for _ in range(9)] for path in "abcd"}
    for call in range(8):
        for path, values in draws.items():
            reference.put(path, values[call])
            candidate.put(path, values[call + 1])
    shifted = reference.against(candidate)
    assert reference.equal(candidate, shifted)
    assert len(shifted.pairs) == 28
    assert "call n of the candidate's a, b and 2 more stands beside call n+1" in shifted.notes[0]


@pytest.mark.parametrize("lagging", ["a", "ab", "abc"])
def test_taps_that_lag_alone_are_a_fault_and_stay(run, rng, lagging: str) -> None:
    reference, candidate = run(), run()
    draws = {path: [rng.normal(size=(1, 16)) for _ in range(9)] for path in "abcd"}
    for call in range(8):
        for path, values in draws.items():
            reference.put(path, values[call])
            candidate.put(path, values[call + (path in lagging)])
    result = reference.against(candidate)
    assert list(result.pairs) == [(i, i) for i in range(32)]
    assert result.notes == ()


def test_one_tap_alone_is_not_shifted_without_a_difference_in_number(run, rng) -> None:
    reference, candidate = run(), run()
    draws = [rng.normal(size=(1, 16)) for _ in range(9)]
    for call in range(8):
        reference.put("a", draws[call])
        candidate.put("a", draws[call + 1])
    assert list(reference.against(candidate).pairs) == [(i, i) for i in range(8)]


@pytest.mark.parametrize("lengths", [[1, 2, 1], [1, 1, 1, 2], [2, 1, 1, 1], [1, 1, 2, 1, 1]])
def test_one_call_of_another_shape_is_no_shift(run, rng, lengths: list[int]) -> None:
    reference, candidate = run(), run()
    for length in lengths:
        reference.put("a", rng.normal(size=(1, length, 8)))
        candidate.put("a", rng.normal(size=(1, 1, 8)))
    assert list(reference.against(candidate).pairs) == [(i, i) for i in range(len(lengths))]


def test_selected_calls_are_matched_by_number(run, rng) -> None:
    reference, candidate = run(), run()
    for call in range(20):
        x = rng.normal(size=(1, 4))
        reference.put("a", x, call=call)
        if 5 <= call < 9:
            candidate.put("a", x, call=call)
    result = reference.against(candidate.without_statistics())
    assert list(result.pairs) == [(5, 0), (6, 1), (7, 2), (8, 3)]
    back = candidate.without_statistics().against(reference)
    assert list(back.pairs) == [(0, 5), (1, 6), (2, 7), (3, 8)]


def test_a_shift_and_a_layout_together(run, rng) -> None:
    reference, candidate = run(), run()
    for call in range(8):
        x = rng.normal(size=(1, 4, 6))
        reference.put("a", x)
        if call >= 1:
            candidate.put("a", x.transpose(0, 2, 1))
    result = reference.against(candidate)
    assert reference.equal(candidate, result)
    assert len(result.views) == 7
