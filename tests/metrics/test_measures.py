import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parity.metrics import Metrics, metrics, pair_statistics, pair_statistics_many


def measure(reference, candidate, **options) -> Metrics:
    return metrics(pair_statistics(np.asarray(reference), np.asarray(candidate), **options))


def test_every_metric_against_its_definition(kernel: str) -> None:
    rng = np.random.default_rng(0)
    r = rng.standard_normal((3, 40_001)).astype(np.float32) + np.float32(0.3)
    c = r + np.float32(0.1) * rng.standard_normal(r.shape).astype(np.float32)
    got = measure(r, c, rtol=1e-2, atol=1e-3)
    x, y = r.astype(np.float64).ravel(), c.astype(np.float64).ravel()
    d = y - x
    want = {
        "count": x.size,
        "compared": x.size,
        "cosine": x @ y / np.linalg.norm(x) / np.linalg.norm(y),
        "pearson": np.corrcoef(x, y)[0, 1],
        "rmse": np.sqrt(np.mean(d * d)),
        "max_abs": np.abs(d).max(),
        "mean_abs": np.abs(d).mean(),
        "rel_l2": np.linalg.norm(d) / np.linalg.norm(x),
        "rel_linf": np.abs(d).max() / np.abs(x).max(),
        "snr_db": 20 * np.log10(np.linalg.norm(x) / np.linalg.norm(d)),
        "mismatch_share": np.mean(~(np.abs(d) <= 1e-3 + 1e-2 * np.abs(x))),
        "argmax": np.argmax(np.abs(d)),
        "reference_norm": np.linalg.norm(x),
        "candidate_norm": np.linalg.norm(y),
        "reference_min": x.min(),
        "reference_max": x.max(),
        "candidate_min": y.min(),
        "candidate_max": y.max(),
        "first_nonfinite": -1,
        "bit_identical": False,
    }
    for name, value in want.items():
        assert getattr(got, name) == pytest.approx(value, rel=1e-13, abs=0), name


@pytest.mark.parametrize("distance", [1e-16, 1e-13, 1e-9, 1e-4, 0.3])
@pytest.mark.parametrize("offset", [0.0, 5.0])
def test_one_minus_cosine_and_pearson_to_ten_digits(
    kernel: str, exact_one_minus, distance: float, offset: float
) -> None:
    rng = np.random.default_rng(4)
    r = (rng.standard_normal(3000) + offset).astype(np.float32)
    c = (r + math.sqrt(2 * distance) * rng.standard_normal(3000)).astype(np.float32)
    if distance < 1e-9:  # float32 cannot be that close, so compare in float64
        c = r + math.sqrt(2 * distance) * rng.standard_normal(3000)
    got = measure(r.astype(c.dtype), c)
    assert got.one_minus_cosine == pytest.approx(exact_one_minus(r, c), rel=1e-11, abs=0)
    assert got.one_minus_pearson == pytest.approx(
        exact_one_minus(r, c, centred=True), rel=1e-11, abs=0
    )


def test_the_plain_formula_would_fail_the_ten_digit_test(exact_one_minus) -> None:
    rng = np.random.default_rng(4)
    r = rng.standard_normal(3000)
    c = r + math.sqrt(2e-13) * rng.standard_normal(3000)
    plain = 1 - r @ c / (np.linalg.norm(r) * np.linalg.norm(c))
    assert plain != pytest.approx(exact_one_minus(r, c), rel=1e-4, abs=0)


@given(st.floats(1e-12, 1e12), st.floats(-10, 10), st.integers(0, 2**32 - 1), st.floats(1e-9, 1e3))
@settings(max_examples=60, deadline=None)
def test_pearson_ignores_scale_and_shift_and_cosine_ignores_scale(
    scale: float, shift: float, seed: int, noise: float
) -> None:
    rng = np.random.default_rng(seed)
    r = rng.standard_normal(50)
    c = r + noise * rng.standard_normal(50)
    plain, changed = measure(r, c), measure(r, scale * (c + shift))
    assert changed.pearson == pytest.approx(plain.pearson, abs=1e-12)
    assert measure(r, scale * c).cosine == pytest.approx(plain.cosine, abs=1e-14)
    assert 0 <= plain.one_minus_cosine <= 2


def test_opposite_tensors() -> None:
    got = measure([1.0, 2.0, -4.0], [-1.0, -2.0, 4.0])
    assert (got.cosine, got.pearson, got.rel_l2) == (-1.0, -1.0, 2.0)


def test_a_candidate_of_another_scale_keeps_its_cosine() -> None:
    r = np.random.default_rng(5).standard_normal(1000)
    got = measure(r, r * 1e-9)
    assert got.one_minus_cosine == pytest.approx(0, abs=1e-15)
    assert got.candidate_norm == pytest.approx(np.linalg.norm(r) * 1e-9, rel=1e-14)


def test_identical_tensors_are_exactly_equal(kernel: str) -> None:
    r = np.random.default_rng(6).standard_normal(20_000).astype(np.float32)
    got = measure(r, r.copy())
    assert got.bit_identical
    assert (got.cosine, got.one_minus_cosine, got.pearson, got.one_minus_pearson) == (1, 0, 1, 0)
    assert (got.rel_l2, got.max_abs, got.max_ulp, got.mismatch_share) == (0, 0, 0, 0)
    assert got.snr_db == np.inf


def test_zero_references() -> None:
    zeros = np.zeros(5, np.float32)
    equal, wrong = measure(zeros, zeros), measure(zeros, zeros + np.float32(1e-30))
    assert equal.bit_identical
    assert (equal.rel_l2, equal.reference_norm) == (0, 0)
    assert equal.reference_constant
    assert np.isnan(equal.cosine)
    assert (wrong.rel_l2, wrong.rel_linf, wrong.snr_db) == (np.inf, np.inf, -np.inf)
    assert not wrong.bit_identical


def test_pearson_of_a_constant_is_undefined_not_rounding_noise() -> None:
    got = measure(np.full(1000, 0.1), np.full(1000, 0.1) + 1e-3 * np.arange(1000))
    assert np.isnan(got.pearson)
    assert np.isnan(got.one_minus_pearson)
    assert got.reference_constant
    assert not got.candidate_constant


def test_signed_zeros_differ_in_bits_only(kernel: str) -> None:
    got = measure(np.array([0.0, 1.0], "f4"), np.array([-0.0, 1.0], "f4"))
    assert not got.bit_identical
    assert (got.rel_l2, got.max_ulp, got.mismatch_share) == (0, 0, 0)


def test_nan_on_one_side_fails_every_check(kernel: str) -> None:
    r = np.linspace(1, 2, 3000, dtype=np.float32)
    c = r.copy()
    c[[1500, 2999]] = np.nan, np.inf
    got = measure(r, c)
    assert (got.candidate_nan, got.candidate_inf, got.nonfinite_mismatch) == (1, 1, 2)
    assert (got.first_nonfinite, got.compared) == (1500, 2998)
    assert not got.rel_l2 <= 1e9
    assert not got.max_abs <= 1e9
    assert not got.cosine >= -1
    assert got.mismatch_share == pytest.approx(2 / 3000)
    rest = metrics(pair_statistics(r, c), finite_only=True)
    assert (rest.rel_l2, rest.cosine) == (0, 1)


def test_nan_and_infinities_at_the_same_places_agree(kernel: str) -> None:
    r = np.linspace(1, 2, 3000, dtype=np.float32)
    r[[0, 7, 2000]] = np.nan, np.inf, -np.inf
    c = r * np.float32(1.001)
    got = measure(r, c)
    assert (got.nonfinite_agreed, got.nonfinite_mismatch) == (3, 0)
    assert got.rel_l2 == pytest.approx(1e-3, rel=1e-3)
    assert measure(r, -c).nonfinite_mismatch == 2


def test_all_nan_compares_nothing(kernel: str) -> None:
    r = np.full(4, np.nan, np.float32)
    got = measure(r, r)
    assert (got.compared, got.argmax, got.bit_identical) == (0, -1, True)
    assert np.isnan(got.rel_l2)
    assert np.isnan(got.max_abs)
    assert np.isnan(got.reference_min)


def test_scalars_and_empty_tensors(kernel: str) -> None:
    scalar = measure(np.float32(2.0), np.float32(3.0))
    assert (scalar.count, scalar.rel_l2, scalar.argmax) == (1, 0.5, 0)
    empty = measure(np.zeros((2, 0), "f4"), np.zeros((2, 0), "f4"))
    assert (empty.count, empty.bit_identical, empty.argmax) == (0, True, -1)
    assert np.isnan(empty.rel_l2)
    assert np.isnan(empty.mismatch_share)


def test_numbers_whose_squares_overflow_are_not_called_close() -> None:
    got = measure([1e200, 1.0], [2e200, 1.0])
    assert not got.rel_l2 <= 1e300
    assert got.max_abs == 1e200
    assert measure([1e200], [1e200]).bit_identical


def test_numbers_whose_squares_vanish_are_not_called_equal(kernel: str) -> None:
    r, c = np.array([1e-200, 2e-200, 5e-200]), np.array([1e-200, 3e-200, -5e-200])
    got = measure(r, c)
    exact = math.sqrt(1 + 100) / math.sqrt(1 + 4 + 25)
    assert exact <= got.rel_l2 <= 3 * exact
    assert got.snr_db < 0
    # Beside numbers of an ordinary size they are nothing, as before.
    assert measure(np.append(r, 1.0), np.append(c, 1.0)).rel_l2 < 1e-150


def test_metrics_of_many_are_those_of_each() -> None:
    rng = np.random.default_rng(7)
    refs = [rng.standard_normal(n).astype(np.float32) for n in (1, 10, 40_000, 3, 0)]
    cands = [r + np.float32(1e-3) for r in refs]
    many = metrics(pair_statistics_many(refs, cands))
    assert many.shape == (5,)
    for i, (r, c) in enumerate(zip(refs, cands, strict=True)):
        assert many[i].as_dict() == pytest.approx(measure(r, c).as_dict(), rel=1e-14, nan_ok=True)
    assert many.as_dict()["count"] == [1, 10, 40_000, 3, 0]
