import numpy as np
import pytest

from parity.align import Alignment, Pairs, TensorView

NONE = np.empty(0, dtype=np.int64)


def test_a_view_transposes_then_reshapes_then_cuts() -> None:
    x = np.arange(24).reshape(2, 3, 4)
    view = TensorView(0, permutation=(2, 0, 1), shape=(4, 6), axis=1, start=2, stop=5)
    expected = x.transpose(2, 0, 1).reshape(4, 6)[:, 2:5]
    np.testing.assert_array_equal(view.apply(x), expected)
    assert view.words == "transposed (2, 0, 1), as [4,6], axis 1 [2:5]"


def test_an_empty_view_is_the_tensor_itself() -> None:
    x = np.zeros((2, 3))
    assert TensorView(0).apply(x) is x
    assert TensorView(0).words == ""


def test_a_cut_copies_nothing() -> None:
    x = np.zeros((1, 8, 4))
    assert np.shares_memory(TensorView(0, axis=1, start=2, stop=3).apply(x), x)


@pytest.mark.parametrize(("count", "missing", "coverage"), [(4, 1, 0.75), (2, 0, 1.0), (0, 0, 0.0)])
def test_coverage(count: int, missing: int, coverage: float) -> None:
    left = np.arange(missing, dtype=np.int64)
    alignment = Alignment(Pairs(NONE, NONE), (), left, NONE, reference_count=count)
    assert alignment.coverage == coverage
