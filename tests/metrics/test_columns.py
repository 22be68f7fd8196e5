"""Statistics and digests of stacks are those of their rows."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from parity.metrics import digest, digests, statistics_columns, tensor_statistics


def assert_same(stack: np.ndarray) -> None:
    columns = statistics_columns(stack)
    for row, array in enumerate(stack):
        expected = tensor_statistics(array)._asdict()
        for name, value in expected.items():
            got = columns[name][row]
            # Where the variance nearly cancels, both keep eight digits of it.
            digits = 1e-7 if name == "std" else 1e-12
            np.testing.assert_allclose(got, value, rtol=digits, atol=0, err_msg=name)


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(0, 9)),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    )
)
def test_each_row_has_the_statistics_of_its_own(stack) -> None:
    assert_same(stack)


@pytest.mark.parametrize(
    "dtype",
    [np.float16, np.float64, np.int64, np.uint8, np.bool_, np.complex64, ml_dtypes.bfloat16],
)
def test_every_type(dtype) -> None:
    assert_same(np.arange(24).reshape(4, 2, 3).astype(dtype))


def test_rows_whose_variance_cancels_and_rows_with_gaps() -> None:
    stack = np.ones((4, 1000), np.float32)
    stack[0] += np.arange(1000) * 1e-6
    stack[1, 3] = np.nan
    stack[2, 5] = -np.inf
    assert_same(stack)


def test_more_than_a_block() -> None:
    assert_same(np.random.default_rng(0).normal(size=(5, 40_000)).astype(np.float32))


@pytest.mark.parametrize("shape", [(3, 4), (3, 0), (0, 4), (2, 1, 1)])
@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.bool_])
def test_digests(shape, dtype) -> None:
    stack = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    assert digests(stack).tolist() == [digest(row).encode() for row in stack]
