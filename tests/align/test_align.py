"""What holds for every alignment."""

import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from parity.align import Rename, align
from parity.errors import ConfigError
from parity.tensors import Role, TapKey, TapRecord, TensorSpec, TensorStatistics

PATHS = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from([1, 2, 5])), min_size=1, max_size=12
)


def made(run, taps: list[tuple[str, int]], seed: int):
    rng = np.random.default_rng(seed)
    one = run()
    for path, length in taps:
        one.put(path, rng.normal(size=(1, length, 3)))
    return one


def meetings(reference, candidate, result) -> set[tuple[str, ...]]:
    """What stands beside what, in names instead of positions."""
    ours, theirs = reference.records, candidate.records
    found = {(str(ours[i].key), str(theirs[j].key), "", "") for i, j in result.pairs}
    return found | {
        (
            str(ours[view.reference.position].key),
            str(theirs[view.candidate.position].key),
            f"{view.reference.axis} {view.reference.start} {view.reference.stop}",
            f"{view.candidate.axis} {view.candidate.start} {view.candidate.stop}",
        )
        for view in result.views
    }


@settings(max_examples=50, deadline=None)
@given(PATHS, PATHS, st.randoms(use_true_random=False))
def test_order_of_the_sequences_does_not_matter(run, ours, theirs, random) -> None:
    reference, candidate = made(run, ours, 1), made(run, theirs, 2)
    expected = meetings(reference, candidate, reference.against(candidate))
    shuffled = candidate.records.copy()
    random.shuffle(shuffled)
    mixed = run(shuffled, [candidate.arrays[record.order] for record in shuffled])
    result = align(reference.records, shuffled)
    assert meetings(reference, mixed, result) == expected


@settings(max_examples=50, deadline=None)
@given(PATHS, PATHS)
@example(ours=[("a", 5)], theirs=[("a", 2)] * 4)
def test_a_bijective_renaming_changes_nothing(run, ours, theirs) -> None:
    reference = made(run, ours, 1)
    plain = made(run, theirs, 2)
    renamed = made(run, [(f"module.{path}", length) for path, length in theirs], 2)
    expected = reference.against(plain)
    result = reference.against(renamed, renames=[Rename.parse("module.{rest} -> {rest}")])
    assert list(result.pairs) == list(expected.pairs)
    assert result.views == expected.views
    assert result.missing.tolist() == expected.missing.tolist()
    assert result.extra.tolist() == expected.extra.tolist()


@settings(max_examples=50, deadline=None)
@given(PATHS)
def test_a_run_meets_itself(run, taps) -> None:
    one = made(run, taps, 1)
    result = one.against(one)
    assert list(result.pairs) == [(i, i) for i in range(len(taps))]
    assert result.coverage == 1
    assert result.notes == ()


@settings(max_examples=50, deadline=None)
@given(PATHS, PATHS)
def test_sides_can_be_exchanged(run, ours, theirs) -> None:
    reference, candidate = made(run, ours, 1), made(run, theirs, 2)
    there = meetings(reference, candidate, reference.against(candidate))
    back = meetings(candidate, reference, candidate.against(reference))
    assert {(b, a, d, c) for a, b, c, d in back} == there


def test_nothing_on_a_side_is_no_error(run) -> None:
    one = made(run, [("a", 1)], 1)
    assert run().against(one).extra.tolist() == [0]
    assert one.against(run()).missing.tolist() == [0]
    assert run().against(run(), mode="auto").coverage == 0


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match="'fuzzy' is no mode of alignment"):
        align([], [], mode="fuzzy")  # type: ignore[arg-type]


@pytest.mark.parametrize(("taps", "calls"), [(20_000, 1), (500, 40)])
def test_twenty_thousand_records_align_in_a_blink(taps: int, calls: int) -> None:
    statistics = TensorStatistics(1024, 0.1, 1.0, -3.0, 3.0, 32.0, 0, 0, 0)

    def records() -> list[TapRecord]:
        return [
            TapRecord(
                TapKey(f"model.layers.{tap}.mlp", Role.OUTPUT, "", "generate", call),
                TensorSpec("float32", (1, 1, 1024)),
                order=call * taps + tap,
                statistics=statistics,
            )
            for call in range(calls)
            for tap in range(taps)
        ]

    ours, theirs = records(), records()
    spent = []
    for _ in range(3):
        start = time.process_time()
        result = align(ours, theirs)
        spent.append(time.process_time() - start)
    assert len(result.pairs) == 20_000
    # Measured at 0.05 s; the margin is for a busy machine.
    assert min(spent) < 0.3


def test_loads_neither_torch_nor_h5py() -> None:
    code = (
        "import sys, parity.align\n"
        "print([m for m in ('torch', 'h5py', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
