"""Thousands of small tensors in one call give what they give one by one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from parity.diffing import CaptureSource, diff
from parity.diffing.slabs import WORTH_GROUPING, slab_groups
from parity.store import open_capture

COUNT = 2 * WORTH_GROUPING


def calls(seed: int, wrong: tuple[int, ...] = ()) -> list[tuple[str, np.ndarray]]:
    """Small tensors of many sizes at a few taps, some of another type, in a drawn order."""
    drawn = np.random.default_rng(7)
    made = []
    for i in range(COUNT):
        dtype = np.float64 if i % 50 == 0 else np.float32
        array = drawn.standard_normal(1 + i % 37).astype(dtype)
        if i in wrong:
            array[-1] += 1
        made.append((f"tap{i}", array))
    order = np.random.default_rng(seed).permutation(COUNT)
    return [made[i] for i in order]


def test_each_row_is_about_its_own_tensors(capture_of: Callable[..., Path]) -> None:
    wrong = (3, 50, 251, COUNT - 1)
    # The candidate's tensors lie elsewhere in its file than the reference's in theirs.
    result = diff(capture_of("a.h5", calls(1)), capture_of("b.h5", calls(2, wrong)))
    assert sorted(row.key.path for row in result.failures) == sorted(f"tap{i}" for i in wrong)
    one_by_one = diff(dict(calls(1)), dict(calls(2, wrong)))
    expected = {row.key.path: row.metrics for row in one_by_one}
    for row in result:
        for name in ("rel_l2", "max_abs", "argmax", "max_ulp", "reference_norm"):
            np.testing.assert_allclose(row.metrics[name], expected[row.key.path][name], rtol=1e-12)


def test_only_what_fits_is_grouped(capture_of: Callable[..., Path]) -> None:
    with open_capture(capture_of("a.h5", calls(1))) as capture:
        source = CaptureSource(capture, "a")
        pairs = [(i, i) for i in range(COUNT)]
        groups, rest = slab_groups(source, source, pairs, most_bytes=4096)
        grouped = [int(i) for group in groups for i in group.members]
        assert len(groups) > 1
        assert sorted([*grouped, *rest]) == list(range(COUNT))
        assert {capture.records[i].spec.dtype for i in rest} == {"float64"}
        # Of unequal lengths nothing may be read as if they were equal.
        uneven = [(i, (i + 1) % COUNT) for i in range(COUNT)]
        groups, _ = slab_groups(source, source, uneven, most_bytes=1 << 20)
        sizes = [capture.records[i].spec.size for i in range(COUNT)]
        assert all(sizes[i] == sizes[(i + 1) % COUNT] for g in groups for i in g.members.tolist())
