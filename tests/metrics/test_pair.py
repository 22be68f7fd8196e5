import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from parity.metrics import PairStatistics, metrics, pair_statistics, pair_statistics_many
from parity.metrics.pair import NOWHERE, Count
from parity.metrics.slices import BLOCK

ELEMENTS = st.floats(width=32) | st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf, 1.0])


def same(left: PairStatistics, right: PairStatistics) -> bool:
    """Equal to the last bit, NaN being equal to NaN."""
    return all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in zip(_arrays(left), _arrays(right), strict=True)
    )


def _arrays(stats: PairStatistics) -> list[np.ndarray]:
    rest = [getattr(stats, f.name) for f in dataclasses.fields(stats) if f.name != "sums"]
    return [stats.sums.top, stats.sums.digits, *rest]


@st.composite
def parts_of_a_pair(draw):
    """Statistics of the consecutive parts of one pair of tensors."""
    sizes = draw(st.lists(st.integers(0, 6), min_size=1, max_size=6))
    arrays = hnp.arrays(np.float32, sum(sizes), elements=ELEMENTS)
    reference, candidate = draw(arrays), draw(arrays)
    edges = np.cumsum([0, *sizes])
    return [
        pair_statistics(reference[a:b], candidate[a:b], offset=int(a)) for a, b in pairwise(edges)
    ]


@given(parts_of_a_pair(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_every_merge_order_gives_the_same_statistics(parts, random) -> None:
    want = parts[0]
    for part in parts[1:]:
        want = want + part
    pool = list(parts)
    while len(pool) > 1:
        left = pool.pop(random.randrange(len(pool)))
        right = pool.pop(random.randrange(len(pool)))
        pool.append(left + right)
    assert same(pool[0], want)
    rows = PairStatistics.concatenate([_as_row(part) for part in parts])
    assert same(rows.total(), want)
    assert same(rows.segments(np.array([0]))[0], want)
    one, other = metrics(pool[0]).as_dict(), metrics(want).as_dict()
    assert repr(one) == repr(other)


def _as_row(part: PairStatistics) -> PairStatistics:
    return part[None]


@given(parts_of_a_pair())
@settings(max_examples=30, deadline=None)
def test_zero_is_neutral_on_both_sides(parts) -> None:
    zero = PairStatistics.zero()
    assert same(parts[0] + zero, parts[0])
    assert same(zero + parts[0], parts[0])


def test_merging_blocks_equals_comparing_the_whole(kernel: str) -> None:
    rng = np.random.default_rng(1)
    reference = rng.standard_normal(5 * BLOCK + 7).astype(np.float32)
    candidate = reference + np.float32(1e-4) * rng.standard_normal(reference.size).astype("f4")
    whole = pair_statistics(reference, candidate)
    cuts = [0, BLOCK, 4 * BLOCK, reference.size]
    parts = [pair_statistics(reference[a:b], candidate[a:b], offset=a) for a, b in pairwise(cuts)]
    assert same(parts[2] + (parts[0] + parts[1]), whole)


def test_any_cut_gives_the_same_metrics_to_fifteen_digits() -> None:
    rng = np.random.default_rng(2)
    reference = rng.standard_normal(40_000)
    candidate = reference + 1e-3 * rng.standard_normal(reference.size)
    whole = metrics(pair_statistics(reference, candidate)).as_dict()
    parts = [
        pair_statistics(reference[a:b], candidate[a:b], offset=a)
        for a, b in [(0, 1), (1, 12_345), (12_345, 40_000)]
    ]
    merged = metrics(parts[0] + parts[1] + parts[2]).as_dict()
    assert merged == pytest.approx(whole, rel=2e-15, abs=0)


def test_threads_do_not_change_a_bit(kernel: str) -> None:
    rng = np.random.default_rng(3)
    reference = rng.standard_normal(3 << 20).astype(np.float32)
    candidate = reference * np.float32(1.0001)
    alone = pair_statistics(reference, candidate, threads=1)
    assert same(pair_statistics(reference, candidate, threads=3), alone)


def test_ties_of_the_largest_error_go_to_the_first_position(kernel: str) -> None:
    reference = np.zeros(200_000, np.float32)
    candidate = reference.copy()
    candidate[[20_001, 133_000, 133_001]] = 1.0, -1.0, 1.0
    assert int(pair_statistics(reference, candidate).argmax) == 20_001
    late = pair_statistics(reference[30_000:], candidate[30_000:], offset=30_000)
    early = pair_statistics(reference[:30_000], candidate[:30_000])
    assert int((late + early).argmax) == 20_001
    assert int((late + PairStatistics.zero()).argmax) == 133_000


def test_statistics_of_nothing() -> None:
    nothing = pair_statistics(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))
    assert same(nothing, PairStatistics.zero())
    assert int(nothing.argmax) == NOWHERE
    assert int(nothing.count(Count.ELEMENTS)) == 0
    assert PairStatistics.zero((0, 2)).total().shape == (2,)


def test_indexing_and_totals_work_on_the_leading_shape() -> None:
    tensors = [np.arange(4.0) + i for i in range(6)]
    stats = pair_statistics_many(tensors, [t + 1 for t in tensors])
    assert len(stats) == 6
    assert stats.shape == (6,)
    assert same(stats[2:4].total(), stats[2] + stats[3])
    assert same(stats[np.array([5, 0])][1], stats[0])
    with pytest.raises(IndexError, match="out of range"):
        stats.total(axis=1)
