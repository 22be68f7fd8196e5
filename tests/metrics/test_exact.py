from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from parity.metrics.exact import ExactSum

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def bits(total: ExactSum) -> bytes:
    return total.value().tobytes()


@given(FLOATS)
@example(5e-324)
@example(1.7976931348623157e308)
@example(-0.1)
@settings(deadline=None)
def test_a_single_term_comes_back_unchanged(value: float) -> None:
    assert float(ExactSum.of(np.array(value)).value()) == value


@given(st.lists(FLOATS, min_size=1, max_size=20), st.randoms(use_true_random=False))
@example([1e300, -1e300, 1e-300], None)
@settings(deadline=None)
def test_every_order_and_grouping_gives_the_same_bits(values: list[float], random) -> None:
    terms = ExactSum.of(np.array(values))
    at_once = terms.total(0)
    pieces = [terms[i] for i in range(len(values))]
    while len(pieces) > 1:
        i = random.randrange(len(pieces)) if random else len(pieces) - 1
        left = pieces.pop(i)
        j = random.randrange(len(pieces)) if random else 0
        pieces.append(pieces.pop(j) + left)
    assert np.array_equal(pieces[0].top, at_once.top)
    assert np.array_equal(pieces[0].digits, at_once.digits)
    assert bits(pieces[0]) == bits(at_once)


@given(st.lists(FLOATS, min_size=1, max_size=20))
@settings(deadline=None)
def test_it_is_exact_to_eighty_bits_below_the_largest_term(values: list[float]) -> None:
    total = float(ExactSum.of(np.array(values)).total(0).value())
    truth = sum(map(Fraction, values))
    largest = max(abs(Fraction(v)) for v in values)
    if abs(truth) < Fraction(1.7e308) and np.isfinite(total):
        slack = largest / 2**64 * len(values) + abs(truth) / 2**51 + Fraction(5e-324)
        assert abs(Fraction(total) - truth) <= slack


def test_plain_floats_would_not_pass_the_order_test() -> None:
    assert (0.1 + 0.2) + 0.3 != 0.1 + (0.2 + 0.3)
    a, b, c = (ExactSum.of(np.array(v)) for v in (0.1, 0.2, 0.3))
    assert bits((a + b) + c) == bits(a + (b + c))


def test_cancellation_leaves_the_small_term() -> None:
    terms = np.array([1e16, 1.0, -1e16])
    assert float(ExactSum.of(terms).total(0).value()) == 1.0
    assert float(terms.sum()) == 0.0


def test_segments_are_totals_of_their_parts() -> None:
    terms = np.random.default_rng(0).standard_normal((11, 3)) * 10.0 ** np.arange(11)[:, None]
    starts = np.array([0, 1, 5])
    got = ExactSum.of(terms).segments(starts)
    for row, (first, stop) in enumerate([(0, 1), (1, 5), (5, 11)]):
        want = ExactSum.of(terms[first:stop]).total(0)
        assert bits(got[row]) == bits(want)


def test_zero_is_neutral() -> None:
    some = ExactSum.of(np.array([3.5, -2.0e-300]))
    assert bits(some + ExactSum.zero((2,))) == bits(some)
    assert float(ExactSum.zero().value()) == 0.0
    assert ExactSum.zero((0, 4)).total(0).value().tolist() == [0.0] * 4


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_term_that_is_not_finite_makes_the_sum_undefined(bad: float) -> None:
    with_bad = ExactSum.of(np.array([1.0, bad, 2.0])).total(0)
    assert np.isnan(with_bad.value())
    assert np.isnan((with_bad + ExactSum.of(np.array(1e308))).value())


def test_a_million_terms_do_not_overflow_the_digits() -> None:
    terms = np.full(1 << 20, -(2.0**32 - 1))
    assert float(ExactSum.of(terms).total(0).value()) == float(terms[0]) * (1 << 20)
