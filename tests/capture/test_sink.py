"""What every backend records goes through the sink: numbers, filters, statistics, digests."""

import threading
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.capture import StoreSink, batch
from parity.capture.batch import SMALL_BYTES
from parity.errors import InputError
from parity.metrics import digest, tensor_statistics
from parity.store import CaptureWriter, RecordBlock, open_capture
from parity.tensors import NoiseDraw, Role, TapKey, TapPlan, TapRecord, Tier


class ListWriter:
    """Keeps what it is told to write."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[dict[str, Any], np.ndarray | None]] = {}
        self.orders: list[int] = []
        self.draws: list[NoiseDraw] = []
        self.meta: dict[str, Any] = {}

    def append(self, record: TapRecord, array: np.ndarray | None) -> None:
        facts = record._asdict()
        kept = None if array is None else array.copy()
        self.rows[str(record.key)] = ({**facts, "statistics": record.statistics}, kept)
        self.orders.append(record.order)

    def append_block(self, block: RecordBlock) -> None:
        for row in range(len(block)):
            call = block.columns["call"][row]
            key = TapKey(block.path, block.role, block.slot, block.phases[row], call)
            statistics = {name: column[row] for name, column in block.statistics.items()}
            facts = {
                "digest": str(np.asarray(block.digests, "U32")[row]),
                "producers": block.producers[row],
                "statistics": statistics,
            }
            kept = block.data[row].copy() if block.tier is Tier.TENSOR else None
            self.rows[str(key)] = (facts, kept)
            self.orders.append(block.columns["order"][row])

    def append_noise(self, draw: NoiseDraw) -> None:
        self.draws.append(draw)

    def set_modules(self, text: str) -> None:
        self.modules = text

    def update_meta(self, **facts: Any) -> None:
        self.meta.update(facts)


@pytest.fixture
def writer() -> ListWriter:
    return ListWriter()


SMALL, LARGE = np.float32([1, -2, 3]), np.ones(SMALL_BYTES // 4 + 1, np.float32)


@pytest.mark.parametrize("array", [SMALL, LARGE], ids=["small", "large"])
def test_calls_are_numbered_by_path_role_slot_and_phase(writer, array) -> None:
    sink = StoreSink(writer)
    for path, role, slot, phase in [
        ("a", Role.TAP, "", ""), ("a", Role.TAP, "", ""), ("a", Role.OUTPUT, "", ""),
        ("a", Role.OUTPUT, "1", ""), ("a", Role.TAP, "", "p"), ("a", Role.TAP, "", ""),
    ]:  # fmt: skip
        sink.record(path, array, role=role, slot=slot, phase=phase)
    sink.flush()
    assert sorted(writer.rows) == sorted(
        ["a:tap#0", "a:tap#1", "a:output#0", "a:output.1#0", "a:tap@p#0", "a:tap#2"]
    )
    assert sorted(writer.orders) == list(range(6))


def test_given_call_numbers_are_kept_and_counted_on(writer) -> None:
    sink = StoreSink(writer)
    sink.record("a", SMALL, call=7)
    sink.record("a", SMALL)
    sink.flush()
    assert set(writer.rows) == {"a:tap#7", "a:tap#8"}


def test_the_plan_filters_and_unwanted_calls_still_count(writer) -> None:
    sink = StoreSink(writer, TapPlan(include=("a*",), exclude=("ab",), calls=(1, 2)))
    orders = [sink.record(path, SMALL) for path in ("a", "a", "ab", "b", "a", "aa", "aa")]
    sink.flush()
    assert orders == [None, 0, None, None, None, None, 1]
    assert set(writer.rows) == {"a:tap#1", "aa:tap#1"}
    assert sink.count == 2


@pytest.mark.parametrize("array", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("tier", list(Tier))
def test_tiers(writer, tier, array) -> None:
    sink = StoreSink(writer, TapPlan(tier=tier))
    sink.record("a", array)
    sink.record("w", array, role=Role.PARAM, slot="weight")
    sink.flush()
    facts, kept = writer.rows["a:tap#0"]
    assert (kept is not None) is (tier is Tier.TENSOR)
    assert facts["digest"] == ("" if tier is Tier.STATS else digest(array))
    assert writer.rows["w:param.weight#0"][1] is None


def test_an_array_changed_after_recording_was_copied(writer) -> None:
    sink, array = StoreSink(writer), SMALL.copy()
    sink.record("a", array)
    array[:] = 0
    sink.flush()
    np.testing.assert_array_equal(writer.rows["a:tap#0"][1], SMALL)


ODD = [
    np.float32(3.5),
    np.zeros((0, 4), np.float32),
    np.float32([np.nan, -0.0, np.inf]),
    np.array([True, False]),
    np.array([1 + 2j], np.complex64),
    np.arange(6, dtype=np.int64).reshape(2, 3).T,
    np.array([1, 2], ml_dtypes.bfloat16),
    np.float32([[1, 2], [3, 4]])[:, ::-1],
]


@pytest.mark.parametrize("array", ODD, ids=lambda array: f"{array.dtype}{np.shape(array)}")
def test_bits_statistics_and_digest_of_odd_arrays(writer, array) -> None:
    sink, array = StoreSink(writer), np.asarray(array)
    sink.record("a", array)
    sink.flush()
    facts, kept = writer.rows["a:tap#0"]
    assert (kept.dtype, kept.shape, kept.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert facts["digest"] == digest(array)
    expected = tensor_statistics(array)
    for name, value in facts["statistics"].items():
        np.testing.assert_allclose(value, getattr(expected, name), rtol=1e-12, err_msg=name)


shapes = st.lists(
    st.sampled_from([(2,), (3,), (), (2, 2), (SMALL_BYTES,)]), min_size=1, max_size=40
)


@given(shapes)
def test_mixed_shapes_of_one_tap_all_arrive_under_their_own_call(shapes) -> None:
    writer = ListWriter()
    sink = StoreSink(writer)
    for number, shape in enumerate(shapes):
        sink.record("a", np.full(shape, number, np.float32))
    sink.flush()
    for number, shape in enumerate(shapes):
        kept = writer.rows[f"a:tap#{number}"][1]
        np.testing.assert_array_equal(kept, np.full(shape, number))
    assert sorted(writer.orders) == list(range(len(shapes)))


def test_many_taps_and_many_calls_cross_the_batch(writer, monkeypatch) -> None:
    monkeypatch.setattr(batch, "MOST_BYTES", 2**20)
    sink = StoreSink(writer)
    for number in range(20_000):
        sink.record(f"t{number % 7}", np.float32([number]))
    assert writer.rows  # some went out before the end
    sink.flush()
    assert len(writer.rows) == 20_000
    assert writer.rows["t3:tap#100"][1] == 703


def test_what_cannot_be_stored_does_not_take_along_what_waits_beside_it(tmp_path) -> None:
    with CaptureWriter(tmp_path / "run.h5") as file:
        sink = StoreSink(file)
        for name in ("before", "x" * 5000, "after"):
            sink.record(name, np.ones(3))
        with pytest.raises(InputError, match="more than 4096 bytes"):
            sink.flush()
    with open_capture(tmp_path / "run.h5") as capture:
        assert set(capture.paths) == {"before", "after"}


def test_threads_share_the_sink(writer) -> None:
    sink = StoreSink(writer)

    def work(name: str) -> None:
        for number in range(500):
            sink.record(name, np.float32([number]))
            sink.record("shared", np.float32([number]))

    workers = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sink.flush()
    assert sorted(writer.orders) == list(range(2000))
    assert len(writer.rows) == 2000
    assert [writer.rows[f"a:tap#{n}"][1].item() for n in range(500)] == list(range(500))


def test_facts_find_their_place(writer) -> None:
    sink = StoreSink(writer)
    sink.describe({"framework": "torch", "framework_version": "2.9", "package.numpy": "2.3"})
    sink.describe({"device": "cpu", "precision": "float32", "threads": 1})
    assert writer.meta == {
        "framework": "torch",
        "precision": "float32",
        "threads": 1,
        "versions": {"torch": "2.9", "numpy": "2.3"},
        "extra": {"device": "cpu"},
    }
