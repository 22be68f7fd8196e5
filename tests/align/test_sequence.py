from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from parity.align.sequence import best_path, longest_rise, through

SCORES = arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    elements=st.sampled_from([-np.inf, 0.25, 0.5, 1.0, 1.75]),
)


def all_matchings(score: np.ndarray) -> list[list[tuple[int, int]]]:
    rows, columns = score.shape
    return [
        list(zip(ours, theirs, strict=True))
        for size in range(min(rows, columns) + 1)
        for ours in combinations(range(rows), size)
        for theirs in combinations(range(columns), size)
    ]


@settings(max_examples=50, deadline=None)
@given(SCORES)
def test_best_path_is_the_best_of_all_matchings(score: np.ndarray) -> None:
    path = best_path(score)
    totals = [sum(score[pair] for pair in pairs) for pairs in all_matchings(score)]
    assert sum(score[pair] for pair in path) == max(totals)
    assert path == sorted(path)


@settings(max_examples=50, deadline=None)
@given(SCORES)
def test_through_is_the_best_matching_with_that_pair(score: np.ndarray) -> None:
    best = np.full(score.shape, -np.inf)
    for pairs in all_matchings(score):
        for pair in pairs:
            best[pair] = max(best[pair], sum(score[one] for one in pairs))
    np.testing.assert_array_equal(through(score), best)


def test_of_equal_matchings_the_earliest() -> None:
    assert best_path(np.ones((3, 1))) == [(0, 0)]
    assert best_path(np.ones((1, 3))) == [(0, 0)]


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(6)))
def test_longest_rise(values: list[int]) -> None:
    places = longest_rise(values)
    chosen = [values[place] for place in places]
    assert places == sorted(places)
    assert chosen == sorted(chosen)
    longest = max(
        size
        for size in range(7)
        for some in combinations(values, size)
        if list(some) == sorted(some)
    )
    assert len(places) == longest


def test_longest_rise_of_nothing() -> None:
    assert longest_rise([]) == []
