"""Strategies draw what kernels get wrong, and a differential test shrinks to the smallest of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

import parity
from parity.testing.agreement import DisagreementError, NothingComparedError

QUICK = settings(
    max_examples=60, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def reached(strategy: st.SearchStrategy[Any], wanted: Callable[[Any], bool]) -> Any:
    return find(strategy, wanted, settings=settings(QUICK, max_examples=2000))


@pytest.mark.parametrize(
    "wanted",
    [
        lambda shape: shape == (),
        lambda shape: 0 in shape,
        lambda shape: 33 in shape,
        lambda shape: len(shape) == 4,
    ],
    ids=["scalar", "empty", "beside a power of two", "four axes"],
)
def test_awkward_shapes_are_reached(wanted: Callable[[Any], bool]) -> None:
    assert wanted(reached(parity.strategies.shapes(), wanted))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int32", "bool"])
def test_tensors_are_of_their_type(dtype: str) -> None:
    @QUICK
    @given(parity.strategies.tensors(dtype, memory=True))
    def check(array: np.ndarray) -> None:
        assert array.dtype.name == dtype
        assert array.size <= 4096

    check()


@pytest.mark.parametrize(
    "wanted",
    [
        lambda a: bool(np.isnan(a).any()),
        lambda a: bool((np.signbit(a) & (a == 0)).any()),
        lambda a: bool((np.abs(a) == np.finfo(np.float32).smallest_subnormal).any()),
        lambda a: a.size > 1 and not a.flags.c_contiguous,
    ],
    ids=["NaN", "minus zero", "subnormal", "not contiguous"],
)
def test_awkward_values_are_reached(wanted: Callable[[Any], bool]) -> None:
    strategy = parity.strategies.tensors(nonfinite=True, memory=True)
    assert wanted(reached(strategy, wanted))


def gelu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-1.702 * np.clip(x, -50, 50)))


def test_equal_implementations_agree() -> None:
    @parity.differential(gelu, lambda x: gelu(x.copy()), max_examples=30)
    def test(x: np.ndarray) -> None: ...

    test()


def test_a_disagreement_shrinks_to_one_plain_number() -> None:
    """The port clips at 3: the smallest input that shows it is a single number above 3."""

    @parity.differential(lambda x: x + 1, lambda x: np.minimum(x, 3) + 1, max_examples=300)
    def test(x: np.ndarray) -> None: ...

    with pytest.raises(DisagreementError, match="smallest input found") as caught:
        test()
    assert "x = float32[] 4.0" in str(caught.value)
    assert "<lambda> and <lambda>" in str(caught.value)


def test_many_numbers_shrink_to_the_few_that_are_needed() -> None:
    """The port forgets what lies behind the seventh, or all from there on."""

    def first_six(x: np.ndarray) -> np.ndarray:
        return np.concatenate([x[:6], 0 * x[6:]])

    lines = parity.strategies.tensors(shape=parity.strategies.shapes(min_dims=1, max_dims=1))

    @parity.differential(lambda x: x, first_six, x=lines, max_examples=300)
    def test(x: np.ndarray) -> None: ...

    with pytest.raises(DisagreementError) as caught:
        test()
    assert "x = float32[7] [" in str(caught.value)
    assert not any("always and only" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("size", [3, 200])
def test_no_number_is_drawn_but_those_that_were_asked_for(size: int) -> None:
    @QUICK
    @given(parity.strategies.tensors(shape=(size,), elements=st.floats(1, 2, width=32)))
    def check(array: np.ndarray) -> None:
        assert ((array >= 1) & (array <= 2)).all()

    check()


class TestMethods:
    @parity.differential(gelu, gelu, max_examples=20)
    def test_a_method_is_a_test_too(self, x: np.ndarray) -> None:
        assert isinstance(self, TestMethods)


def test_a_reference_that_refuses_everything_says_why() -> None:
    def reference(x: np.ndarray) -> np.ndarray:
        raise ValueError("needs weights")

    @parity.differential(reference, np.sin, max_examples=20)
    def test(x: np.ndarray) -> None: ...

    with pytest.raises(NothingComparedError, match="at last with ValueError: needs weights"):
        test()


def test_an_error_of_the_candidate_alone_is_a_disagreement() -> None:
    def candidate(x: np.ndarray) -> np.ndarray:
        if x.size == 0:
            raise ValueError("empty")
        return x

    @parity.differential(lambda x: x, candidate, max_examples=300)
    def test(x: np.ndarray) -> None: ...

    with pytest.raises(DisagreementError, match="the candidate raises ValueError: empty"):
        test()


def test_another_shape_is_a_disagreement() -> None:
    @parity.differential(np.transpose, lambda x: x, max_examples=300)
    def test(x: np.ndarray) -> None: ...

    with pytest.raises(DisagreementError, match="smallest input found"):
        test()


def test_nothing_compared_is_no_pass() -> None:
    @parity.differential(
        lambda x: x, lambda x: x, x=parity.strategies.tensors(shape=(0,)), max_examples=5
    )
    def test(x: np.ndarray) -> None: ...

    with pytest.raises(NothingComparedError, match="no drawn input"):
        test()


def test_an_unknown_parameter_is_an_error() -> None:
    with pytest.raises(parity.ParityError, match="has no parameter 'y'"):

        @parity.differential(np.sin, np.sin, y=st.none())
        def test(x: np.ndarray) -> None: ...
