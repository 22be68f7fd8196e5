import ml_dtypes
import numpy as np
import pytest

from parity.errors import InputError
from parity.metrics import Metrics, metrics, pair_statistics

SMALL_FLOATS = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float4_e2m1fn"]
FLOATS_WITH_ULP = ["f2", "f4", "f8", ml_dtypes.bfloat16, ml_dtypes.float8_e5m2]


def measure(reference, candidate) -> Metrics:
    return metrics(pair_statistics(reference, candidate))


@pytest.mark.parametrize(
    "dtype",
    ["f2", "f4", "f8", ">f4", "g", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8",
     *(getattr(ml_dtypes, name) for name in SMALL_FLOATS), ml_dtypes.int4],
    ids=str,
)  # fmt: skip
def test_every_real_dtype_is_compared_in_float64(kernel: str, dtype) -> None:
    r = np.array([1, 2, 0, 4, 3, 2], np.float32).astype(dtype)
    c = np.array([1, 2, 1, 4, 0, 2], np.float32).astype(dtype)
    got = measure(r, c)
    assert (got.max_abs, got.argmax, got.count) == (3, 4, 6)
    assert got.rel_l2 == pytest.approx(np.sqrt(10 / 34), rel=1e-15, abs=0)
    assert got.mismatch_share == pytest.approx(2 / 6)
    assert (got.reference_min, got.reference_max) == (0, 4)
    assert not got.bit_identical
    assert measure(r, r.copy()).bit_identical


def test_bool() -> None:
    got = measure(np.array([True, False, True]), np.array([True, True, True]))
    assert (got.max_abs, got.argmax, got.bit_identical) == (1, 1, False)
    assert np.isnan(got.max_ulp)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_integers_beyond_float64_are_subtracted_exactly(dtype) -> None:
    r = np.array([2**60, 5, 2**53], dtype)
    got = measure(r, r + np.array([1, 0, 1], dtype))
    assert (got.max_abs, got.argmax) == (1, 0)
    assert got.mean_abs == pytest.approx(2 / 3)
    assert not got.bit_identical
    assert got.rel_l2 > 0


def test_the_largest_integer_differences_do_not_wrap() -> None:
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    assert measure(np.array([low]), np.array([high])).max_abs == 2.0**64
    zero, top = np.array([0], np.uint64), np.array([2**64 - 1], np.uint64)
    assert measure(top, zero).max_abs == 2.0**64


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_numbers_by_modulus_and_as_pairs(dtype) -> None:
    r = np.array([3 + 4j, 1j, -2, 1 + 1j], dtype)
    c = np.array([3 + 4j, 1j, -2 + 1j, 4 + 5j], dtype)
    got = measure(r, c)
    assert (got.max_abs, got.argmax, got.count) == (5, 3, 4)
    assert got.mean_abs == pytest.approx(6 / 4)
    assert got.rmse == pytest.approx(np.sqrt(26 / 4))
    assert got.rel_l2 == pytest.approx(np.linalg.norm(c - r) / np.linalg.norm(r))
    want = np.vdot(r, c).real / np.linalg.norm(r) / np.linalg.norm(c)
    assert got.cosine == pytest.approx(want)
    parts = [x.astype(np.complex128).view(np.float64) for x in (r, c)]
    assert got.pearson == pytest.approx(np.corrcoef(*parts)[0, 1])
    assert (got.reference_min, got.candidate_max) == (-2, 5)
    assert measure(r, r.copy()).bit_identical


def test_a_conjugated_candidate_is_not_identical() -> None:
    r = np.array([1 + 1j, 2 - 1j], np.complex64)
    assert not measure(r, r.conj()).bit_identical


def test_complex_nan_in_either_part_is_not_finite() -> None:
    r = np.array([complex(1, np.nan), 1 + 1j, 2])
    c = np.array([complex(1, np.nan), complex(np.inf, 1), 2])
    got = measure(r, c)
    assert (got.compared, got.nonfinite_agreed, got.first_nonfinite) == (1, 1, 1)


@pytest.mark.parametrize("dtype", FLOATS_WITH_ULP, ids=str)
def test_ulp_counts_the_numbers_between(kernel: str, dtype) -> None:
    bits = f"u{np.dtype(dtype).itemsize}"
    r = np.array([1.0, -1.0, 0.0, 1.0], np.float32).astype(dtype)
    c = r.copy()
    c.view(bits)[:2] += np.array([5, 7], bits)
    assert measure(r, c).max_ulp == 7
    smallest = np.array([1], bits).view(dtype)
    both_sides = np.concatenate([smallest, smallest]), np.concatenate([-smallest, smallest])
    assert measure(*both_sides).max_ulp == 2
    assert measure(np.array([0.0], dtype), np.array([-0.0], dtype)).max_ulp == 0


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_the_widest_ulp_distance_fits(kernel: str, dtype: str) -> None:
    info = np.finfo(dtype)
    got = measure(np.array([info.min], dtype), np.array([info.max], dtype))
    above_zero = int(np.array([info.max], dtype).view(f"u{np.dtype(dtype).itemsize}")[0])
    assert got.max_ulp == float(2 * above_zero)


def test_ulp_is_undefined_for_integers_and_mixed_dtypes() -> None:
    assert np.isnan(measure(np.array([1]), np.array([2])).max_ulp)
    assert np.isnan(measure(np.array([1], "f4"), np.array([2], "f8")).max_ulp)


def test_different_dtypes_are_compared_by_value() -> None:
    r = np.array([1.0, 2.0, 1 / 3], np.float32)
    got = measure(r, r.astype(np.float16))
    assert not got.bit_identical
    assert 0 < got.rel_l2 < 1e-3
    assert measure(r[:2], r[:2].astype(np.int32)).bit_identical


def test_nan_payloads_count_as_different_bits(kernel: str) -> None:
    r = np.array([0x7FC00000, 0x3F800000], np.uint32).view(np.float32)
    c = np.array([0x7FC00001, 0x3F800000], np.uint32).view(np.float32)
    got = measure(r, c)
    assert (got.nonfinite_agreed, got.bit_identical, got.rel_l2) == (1, False, 0)


@pytest.mark.parametrize("bad", [np.array(["a"]), np.array([None]), np.array(["2020"], "M8[D]"),
                                 np.zeros(1, [("x", "f4")])], ids=str)  # fmt: skip
def test_arrays_without_numbers_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(InputError, match="holds no numbers to compare"):
        measure(bad, bad)
