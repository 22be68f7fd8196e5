import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parity.align.content import Reader, clear_winner, correlation, distance, fingerprint, pooled


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 99))
def test_fingerprint_does_not_depend_on_how_tensors_are_cut(run, cuts: list[int], seed: int):
    x = np.random.default_rng(seed).normal(size=sum(cuts))
    pieces, whole = run(), run()
    for part in np.split(x, np.cumsum(cuts)[:-1]):
        pieces.put("a", part)
    whole.put("a", x)
    np.testing.assert_allclose(pooled(pieces.records), fingerprint(whole.records[0]), atol=1e-7)


def test_fingerprint_is_unknown_without_statistics(run) -> None:
    one = run()
    one.put("a", np.ones(3))
    assert np.isnan(pooled(one.without_statistics().records)).all()
    empty = run()
    empty.put("a", np.ones((1, 0)))
    assert np.isnan(pooled(empty.records)).all()


def test_distance_is_zero_for_equal_one_for_unknown_and_free_of_scale() -> None:
    a, b = np.array([0.1, 1.0, -3.0, 3.0, 1.0]), np.array([0.1, 1.0, -2.7, 3.0, 1.0])
    assert distance(a, a) == 0
    assert distance(a, b) == pytest.approx(0.1)
    assert distance(a * 1e6, b * 1e6) == pytest.approx(0.1)
    assert distance(a, np.full(5, np.nan)) == 1
    assert distance(np.zeros(5), np.zeros(5)) == 0


def test_correlation_of_what_cannot_be_correlated_is_nan() -> None:
    x = np.arange(4.0)
    assert correlation(x, 2 * x + 1) == pytest.approx(1)
    assert correlation(x, -x) == pytest.approx(-1)
    assert np.isnan(correlation(x, np.ones(4)))
    assert np.isnan(correlation(x, x[:3]))
    assert np.isnan(correlation(x[:1], x[:1]))


def test_correlation_looks_at_finite_elements() -> None:
    x = np.arange(5.0)
    y = x.copy()
    y[1], y[2] = np.nan, np.inf
    assert correlation(x, y) == pytest.approx(1)


@pytest.mark.parametrize(
    ("scores", "winner"),
    [
        ([0.1, 0.99, 0.3], 1),
        ([0.99, 0.985], None),
        ([1 - 1e-12, 1 - 1e-6], 0),
        ([0.8, 0.1], None),
        ([float("nan"), 0.99], 1),
        ([float("nan")], None),
        ([1.0, 1.0], None),
    ],
)
def test_clear_winner(scores: list[float], winner: int | None) -> None:
    assert clear_winner(scores) == winner


def test_reader_keeps_to_its_budget_and_copies(run) -> None:
    one = run()
    for _ in range(3):
        one.put("a", np.ones(2))
    buffer = np.zeros(2)

    def read(record):
        buffer[:] = record.order
        return buffer

    reader = Reader(read, read, budget=3)
    first, second = reader.reference(one.records[1]), reader.reference(one.records[2])
    assert first.tolist() == [1, 1]
    assert second.tolist() == [2, 2]
    assert reader.reference(one.records[1]) is first
    assert reader.available
    reader.candidate(one.records[0])
    assert not reader.available
    assert not Reader(read, None).available
