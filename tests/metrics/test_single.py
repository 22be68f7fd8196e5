import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from parity.errors import InputError
from parity.metrics import digest, single, tensor_statistics, tensor_statistics_rows
from parity.tensors import TensorStatistics


@pytest.fixture(params=["numpy", "compiled"])
def summarise(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """`tensor_statistics` with each kernel."""
    if request.param == "compiled":
        pytest.importorskip("numba")
        pytest.importorskip(single.COMPILED)
    else:
        monkeypatch.setattr(single, "COMPILED", "no such module")
    return tensor_statistics


def want(array: np.ndarray) -> TensorStatistics:
    """The definition, in float64, all at once."""
    values = np.abs(array) if array.dtype.kind == "c" else array.astype(np.float64)
    values = values.astype(np.float64).ravel()
    held = values[np.isfinite(values)]
    nan = math.nan
    moments = (
        (held.mean(), held.std(), held.min(), held.max(), np.linalg.norm(held))
        if held.size
        else (nan,) * 5
    )
    return TensorStatistics(
        values.size,
        *map(float, moments),
        int(np.isnan(values).sum()),
        int(np.isinf(values).sum()),
        int((values == 0).sum()),
    )


def assert_same(got: TensorStatistics, expected: TensorStatistics) -> None:
    assert tuple(got) == pytest.approx(tuple(expected), rel=1e-12, abs=1e-300, nan_ok=True)


@pytest.mark.parametrize("shape", [(), (1,), (3, 0), (5, 7), (3, 40_001)], ids=str)
def test_shapes(summarise, shape: tuple[int, ...]) -> None:
    array = np.asarray(np.random.default_rng(0).standard_normal(shape), np.float32)
    assert_same(summarise(array), want(array))


@pytest.mark.parametrize(
    "dtype", ["f2", "f8", ">f4", "i8", "u1", "?", "c8", "c16", ml_dtypes.bfloat16,
              ml_dtypes.float8_e4m3fn], ids=str)  # fmt: skip
def test_dtypes(summarise, dtype) -> None:
    array = (10 * np.random.default_rng(1).random((30, 4))).astype(dtype)
    assert_same(summarise(array), want(array))


@pytest.mark.parametrize("size", [6, 100_000])
def test_gaps(summarise, size: int) -> None:
    array = np.random.default_rng(2).standard_normal(size).astype(np.float32)
    array[[0, 3, size - 1]] = np.nan, np.inf, -np.inf
    array[1] = 0
    got = summarise(array)
    assert (got.nan_count, got.inf_count, got.zero_count) == (1, 2, 1)
    assert_same(got, want(array))
    assert_same(summarise(np.full(3, np.nan, "f4")), want(np.full(3, np.nan)))


@given(hnp.arrays(np.float32, st.integers(0, 40), elements=st.floats(width=32)))
@settings(max_examples=60, deadline=None)
def test_any_float32(array: np.ndarray) -> None:
    got, expected = tensor_statistics(array), want(array)
    assert got.std == pytest.approx(expected.std, rel=1e-6, abs=1e-30, nan_ok=True)
    assert got.mean == pytest.approx(
        expected.mean, rel=1e-9, abs=1e-13 * (got.l2 or 0), nan_ok=True
    )
    exact = ("count", "min", "max", "nan_count", "inf_count", "zero_count")
    for name in exact:
        assert repr(getattr(got, name) + 0) == repr(getattr(expected, name) + 0)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8"])
def test_opposite_infinities_cause_no_warning(summarise, dtype: str) -> None:
    array = np.array([[1, np.inf, -np.inf, 2], [1, 2, 3, 4]], dtype)
    assert summarise(array).inf_count == 2
    assert [row.inf_count for row in tensor_statistics_rows(array)] == [2, 0]


def test_numbers_whose_squares_overflow(summarise) -> None:
    got = summarise(np.array([1e200, -1e200]))
    assert (got.min, got.max, got.l2, got.inf_count) == (-1e200, 1e200, np.inf, 0)


def test_a_small_spread_far_from_zero_keeps_its_digits(summarise) -> None:
    array = 1e6 + np.random.default_rng(3).random(50_000)
    assert summarise(array).std == pytest.approx(array.std(), rel=1e-9, abs=0)
    assert summarise(np.full(1000, 0.1)).std == 0


def test_rows_are_tensors_of_their_own() -> None:
    stack = np.random.default_rng(4).standard_normal((50, 3, 5)).astype(np.float32)
    stack[7, 1, 1] = np.nan
    stack[8] = 0
    for got, row in zip(tensor_statistics_rows(stack), stack, strict=True):
        assert_same(got, want(row))
    assert tensor_statistics_rows(stack[:0]) == []
    assert [row.count for row in tensor_statistics_rows(stack[:2, :0])] == [0, 0]
    wide = np.ones((2, 40_000), np.float32)
    assert [row.l2 for row in tensor_statistics_rows(wide)] == [200, 200]


def test_text_is_refused() -> None:
    with pytest.raises(InputError, match="dtype <U1 holds no numbers"):
        tensor_statistics(np.array(["a"]))


def test_digest_is_of_the_bytes_in_c_order() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert digest(array) == digest(np.asfortranarray(array)) == digest(array.ravel())
    assert digest(array) != digest(array.T)
    assert digest(np.array(0.0)) != digest(np.array(-0.0))
    assert digest(array.astype(ml_dtypes.bfloat16)) == digest(
        array.astype(ml_dtypes.bfloat16).view(np.uint16)
    )
    # The published XXH3-128 of no input with seed 0.
    assert digest(np.zeros((0, 4))) == "99aa06d3014798d86001c324468d497f"
