import subprocess
import sys

import numpy as np
import pytest

from parity.errors import InputError
from parity.metrics import (
    Metrics,
    compare,
    metrics,
    pair_statistics,
    pair_statistics_many,
    pair_statistics_slab,
    slices,
)

COUNTS = ("count", "compared", "argmax", "first_nonfinite", "reference_nan", "candidate_nan",
          "reference_inf", "candidate_inf", "nonfinite_agreed", "nonfinite_mismatch",
          "bit_identical", "reference_constant", "candidate_constant", "max_abs", "max_ulp",
          "mismatch_share", "reference_min", "reference_max", "candidate_min",
          "candidate_max")  # fmt: skip


def assert_close(left: Metrics, right: Metrics) -> None:
    for name in COUNTS:
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name), err_msg=name)
    for name, values in left.as_dict().items():
        if name.startswith(("cosine", "pearson")):  # near 1, or of pure rounding
            np.testing.assert_allclose(values, getattr(right, name), atol=1e-14, err_msg=name)
        elif name.startswith("one_minus"):
            np.testing.assert_allclose(values, getattr(right, name), 1e-12, 1e-15, err_msg=name)
        else:
            np.testing.assert_allclose(values, getattr(right, name), 1e-13, err_msg=name)


def tensors(seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 3000, 60)
    references = [rng.standard_normal(size).astype(np.float32) for size in sizes]
    references += [rng.standard_normal((140, 1000)).astype(np.float32), np.zeros(9, "f4")]
    candidates = [
        r + np.float32(1e-5) * rng.standard_normal(r.shape).astype("f4") for r in references
    ]
    for c in candidates[::5]:
        c.reshape(-1)[rng.integers(0, 3000, 3) % max(c.size, 1)] = np.nan if c.size else 0
    for r, c in zip(references[::3], candidates[::3], strict=True):
        if r.size:
            r[0] = c[0] = -np.inf
    return references, candidates


def test_both_kernels_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    references, candidates = tensors(0)
    found = []
    for compiled in (False, True):
        monkeypatch.setattr(compare, "may_compile", lambda _, c=compiled: c)
        found.append(metrics(pair_statistics_many(references, candidates)))
    assert_close(*found)


def test_mixed_dtypes_and_layouts_keep_their_order() -> None:
    rng = np.random.default_rng(1)
    base = rng.standard_normal((40, 60)).astype(np.float32)
    references = [base, base.T, base[::2, ::-3], base.astype("f8"), np.arange(7), base[0, 0]]
    candidates = [r + r.dtype.type(1) for r in references]
    many = metrics(pair_statistics_many(references, candidates))
    alone = [metrics(pair_statistics(r, c)) for r, c in zip(references, candidates, strict=True)]
    assert many.count.tolist() == [r.size for r in references]
    assert many.rel_l2.tolist() == [float(m.rel_l2) for m in alone]


def test_a_transposed_candidate_is_compared_element_by_element(kernel: str) -> None:
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert metrics(pair_statistics(base, np.asfortranarray(base))).bit_identical


def test_read_only_maps_of_files(kernel: str, tmp_path) -> None:
    path = tmp_path / "slab.bin"
    np.arange(50_000, dtype=np.float32).tofile(path)
    mapped = np.memmap(path, np.float32, "r")
    got = metrics(pair_statistics_slab(mapped, mapped, [0, 7], [1, 7], [40_000, 100]))
    assert got.max_abs.tolist() == [1.0, 0.0]
    assert got.bit_identical.tolist() == [False, True]


def test_slab_equals_its_slices(kernel: str) -> None:
    references, candidates = tensors(2)
    lengths = np.array([r.size for r in references])
    r_slab = np.concatenate([r.ravel() for r in references])
    starts = np.cumsum(lengths) - lengths
    backwards = lengths[::-1].cumsum()[::-1] - lengths
    c_slab = np.concatenate([c.ravel() for c in candidates[::-1]])
    got = pair_statistics_slab(r_slab, c_slab, starts, backwards, lengths, threads=2)
    assert_close(metrics(got), metrics(pair_statistics_many(references, candidates)))


def test_tolerances_may_differ_by_tensor(kernel: str) -> None:
    r = [np.ones(4, np.float32)] * 3
    c = [np.full(4, 1.5, np.float32)] * 3
    got = metrics(pair_statistics_many(r, c, rtol=np.array([0.4, 0.6, 0]), atol=[0, 0, 0.5]))
    assert got.mismatch_share.tolist() == [1, 0, 0]


def test_unusable_arguments_are_named() -> None:
    one, two = np.zeros(1, "f4"), np.zeros(2, "f4")
    with pytest.raises(InputError, match=r"shape \(1,\) .* shape \(2,\)"):
        pair_statistics(one, two)
    with pytest.raises(InputError, match="1 reference tensors stand against 0"):
        pair_statistics_many([one], [])
    with pytest.raises(InputError, match="outside the candidate slab of 1 elements"):
        pair_statistics_slab(two, one, [0], [0], [2])
    with pytest.raises(InputError, match="outside the reference slab"):
        pair_statistics_slab(two, two, [-1], [0], [2])
    with pytest.raises(InputError, match="differ in number"):
        pair_statistics_slab(two, two, [0, 1], [0], [1])


def test_nothing_to_compare() -> None:
    assert pair_statistics_many([], []).shape == (0,)
    assert pair_statistics_slab(np.zeros(3), np.zeros(3), [], [], []).shape == (0,)
    assert metrics(pair_statistics_many([], [])).rel_l2.shape == (0,)


def test_small_work_loads_neither_numba_nor_anything_heavy() -> None:
    code = """
import sys, numpy as np
from parity.metrics import metrics, pair_statistics, tensor_statistics
import parity.tolerance
a = np.ones(1000, np.float32)
metrics(pair_statistics(a, a)); tensor_statistics(a)
heavy = {"numba", "torch", "h5py", "pandas", "matplotlib", "scipy"} & set(sys.modules)
sys.exit(f"loaded {heavy}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


def test_without_numba_large_work_falls_back_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, slices.COMPILED, raising=False)
    monkeypatch.setattr(slices, "find_spec", lambda _: None)
    assert not slices.may_compile(1 << 40)
    monkeypatch.setattr(slices, "find_spec", lambda _: object())
    assert slices.may_compile(1 << 40)
    assert not slices.may_compile(1 << 20)
