import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from parity.align.layout import axis_orders, regroups

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


@settings(max_examples=50, deadline=None)
@given(SHAPES, st.data())
def test_finds_the_order_that_was_applied(shape: tuple[int, ...], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(shape))))
    turned = tuple(shape[axis] for axis in order)
    live = [axis for axis in order if shape[axis] != 1]
    found = axis_orders([shape], [turned])
    assert live in [[axis for axis in one if shape[axis] != 1] for one in found]
    # Each is a permutation of all axes that gives the target but for axes of length 1.
    for one in found:
        assert sorted(one) == list(range(len(shape)))
        assert [shape[a] for a in one if shape[a] != 1] == [n for n in turned if n != 1]


def test_shapes_together_decide_what_one_leaves_open() -> None:
    assert len(axis_orders([(2, 2, 3)], [(2, 2, 3)])) == 2
    assert axis_orders([(2, 2, 3), (2, 5, 3)], [(2, 2, 3), (5, 2, 3)]) == [(1, 0, 2)]


def test_identity_comes_first() -> None:
    assert axis_orders([(4, 4)], [(4, 4)])[0] == (0, 1)


def test_other_sizes_have_no_order() -> None:
    assert axis_orders([(3, 8)], [(4, 6)]) == []
    assert axis_orders([(3, 8), (3, 8, 1)], [(3, 8), (3, 8)]) == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.data())
def test_merged_neighbours_are_recognised(fine: list[int], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(fine)))))
    ends = [0, *cuts, len(fine)]
    pairs = pairwise(ends)
    coarse = tuple(math.prod(fine[a:b]) for a, b in pairs if a < b)
    assert regroups(tuple(fine), coarse)
    assert regroups(coarse, tuple(fine))


def test_equal_size_alone_is_no_regrouping() -> None:
    assert not regroups((4, 6), (3, 8))
    assert not regroups((2, 12), (4, 6))
    assert not regroups((3, 2), (2, 3))
    assert not regroups((0, 4), (4,))
