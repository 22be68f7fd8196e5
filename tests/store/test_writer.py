from __future__ import annotations

import os
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from parity.errors import CaptureFileError, InputError
from parity.store import CaptureMeta, CaptureWriter, open_capture, verify
from parity.store.layout import escape, journal_path
from parity.store.series import DIRECT_BYTES
from parity.tensors import Case, Role, TapKey, TapRecord, TensorSpec, Tier

MakeRecord = Callable[..., TapRecord]


def test_calls_are_stacked_and_plain_h5py_reads_them(small: Path) -> None:
    with h5py.File(small) as h5:
        stack = h5["tensors/net.norm/output"]
        assert stack.shape == (10, 2, 3)
        assert stack.dtype == np.float32
        assert stack[:, 0, 0].tolist() == list(range(10))
        assert h5.attrs["format"] == b"parity-capture"
        assert h5.attrs["complete"]
        index = h5["index"][:]
        series = h5["series"][index["series"][4]]
        assert series["path"] == b"net.norm"
        assert series["dataset"] == b"/tensors/net.norm/output"
        assert h5["strings"][index["phase"][4]]["text"] == b"generate"
        assert h5py.check_enum_dtype(h5["index"].dtype["tier"])["tensor"] == index["tier"][4]


def test_thousands_of_calls_make_one_dataset(
    writer: CaptureWriter, make_record: MakeRecord
) -> None:
    for order in range(3000):
        tensor = np.full(4, order, np.int32)
        writer.append(make_record(tensor, order), tensor)
    writer.close()
    with h5py.File(writer.path) as h5:
        assert list(h5["tensors"]) == ["net.norm"]
        assert list(h5["tensors/net.norm"]) == ["output"]
        assert h5["tensors/net.norm/output"][:, 3].tolist() == list(range(3000))
    assert writer.path.stat().st_size < 1.3e6


def test_each_shape_and_type_has_a_dataset(writer: CaptureWriter, make_record: MakeRecord) -> None:
    tensors = [np.zeros(3), np.zeros(4), np.zeros(3, np.int8), np.ones(3)]
    for order, tensor in enumerate(tensors):
        writer.append(make_record(tensor, order, slot="x"), tensor)
    writer.close()
    with h5py.File(writer.path) as h5:
        names = {name: stack.shape for name, stack in h5["tensors/net.norm"].items()}
    assert names == {"output.x": (2, 3), "output.x~2": (1, 4), "output.x~3": (1, 3)}


@pytest.mark.parametrize("flush_seconds", [0.0, 1e9])
@pytest.mark.parametrize("size", [1, 100, 20_000])
def test_the_index_says_where_in_the_file_a_tensor_lies(
    path: Path, make_record: MakeRecord, size: int, flush_seconds: float
) -> None:
    with CaptureWriter(path, flush_seconds=flush_seconds) as writer:
        for order in range(60):
            tensor = np.full(size, order, np.float64)
            writer.append(make_record(tensor, order, f"tap{order % 2}"), tensor)
    content = path.read_bytes()
    with open_capture(path) as capture:
        _, offsets, nbytes = capture.slab()
        for order in range(60):
            start = int(offsets[order])
            assert nbytes[order] == 8 * size
            assert start % 8 == 0
            assert np.frombuffer(content, np.float64, size, start).tolist() == [order] * size


def test_chunks_lie_on_cache_line_borders(writer: CaptureWriter, make_record: MakeRecord) -> None:
    for order in range(40):
        tensor = np.zeros(order * 997 + 1, np.float32)
        writer.append(make_record(tensor, order), tensor)
    writer.close()
    assert (open_capture(writer.path).columns.offsets % 64 == 0).all()


def test_hostile_names_stay_within_their_group(
    writer: CaptureWriter, make_record: MakeRecord
) -> None:
    names = ["", ".", "..", "../../run_id", "/index", "a/b", "a%2Fb", "a~2", "tab\t", "é", " "]
    for order, name in enumerate(names):
        for slot in ("", "0", "../x", "~2"):
            tensor = np.array([order, len(slot)])
            writer.append(make_record(tensor, order * 4 + len(slot), name, slot=slot), tensor)
    writer.close()
    with open_capture(writer.path) as capture:
        assert capture.paths == tuple(names)
        assert verify(capture) == ()
        for order, name in enumerate(names):
            assert capture[name]["output.../x"][0].tolist() == [order, 4]
    with h5py.File(writer.path) as h5:
        assert len(h5["tensors"]) == len(names)


def test_escaping_is_injective() -> None:
    names = ["", ".", "..", "%", "%2E", "a.b", "a/b", "a%2Fb", "%00", "~", "%7E", "..."]
    assert len({escape(name) for name in names}) == len(names)
    assert not any("/" in escape(name) for name in names)


@pytest.mark.parametrize("name", ["zero\0byte", "lone\ud800surrogate", "x" * 5000])
def test_a_name_that_no_file_can_hold_is_refused(
    writer: CaptureWriter, make_record: MakeRecord, name: str
) -> None:
    tensor = np.zeros(2)
    with pytest.raises(InputError, match="the name"):
        writer.append(make_record(tensor, 0, name), tensor)
    writer.append(make_record(tensor, 1), tensor)
    writer.close()
    assert [record.order for record in open_capture(writer.path)] == [1]


def test_small_tensors_wait_in_bounded_memory(path: Path, make_record: MakeRecord) -> None:
    tensor = np.zeros(2000, np.float32)
    record = make_record(tensor, 0)
    with CaptureWriter(path, buffer_bytes=2**20, flush_seconds=1e9) as writer:
        writer.append(record, tensor)
        tracemalloc.start()
        for order in range(4000):
            writer.append(make_record(tensor, order + 1, f"tap{order % 40}", digest=""), tensor)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert path.stat().st_size > 32e6
    assert peak < 8e6


@pytest.mark.parametrize("tier", [Tier.STATS, Tier.DIGEST])
def test_lower_tiers_keep_no_tensor(
    writer: CaptureWriter, make_record: MakeRecord, tier: Tier
) -> None:
    tensor = np.zeros(100_000)
    writer.append(make_record(tensor, 0, tier=tier), tensor)
    writer.append(make_record(tensor, 1, tier=tier), None)
    writer.close()
    assert writer.path.stat().st_size < 100_000
    with open_capture(writer.path) as capture:
        assert [record.tier for record in capture] == [tier, tier]
        with pytest.raises(InputError, match="only its statistics were recorded") as caught:
            capture.read(1)
    assert "record it again with tier `tensor`" in str(caught.value)


def test_record_and_array_must_agree(writer: CaptureWriter) -> None:
    record = TapRecord(TapKey("norm", Role.OUTPUT), TensorSpec("float32", (2, 3)), 0)
    with pytest.raises(
        InputError, match=r"recorded as float32\[2,3\], but the array is float32\[3,2\]"
    ):
        writer.append(record, np.zeros((3, 2), np.float32))
    with pytest.raises(
        InputError, match=r"recorded as float32\[2,3\], but the array is float64\[2,3\]"
    ):
        writer.append(record, np.zeros((2, 3)))
    with pytest.raises(InputError, match="came without its tensor"):
        writer.append(record)
    writer.append(record, np.zeros((2, 3), np.float32))
    writer.close()
    assert len(open_capture(writer.path)) == 1


@pytest.mark.parametrize(
    "tensor", [np.array(["text"]), np.array([None]), np.zeros(2, "f4,f4"), np.zeros(2, "M8[s]")]
)
def test_what_is_no_number_is_refused(
    writer: CaptureWriter, make_record: MakeRecord, tensor: np.ndarray
) -> None:
    with pytest.raises(InputError, match="cannot be stored"):
        writer.append(make_record(tensor, 0, digest=""), tensor)


def test_facts_must_be_json(writer: CaptureWriter) -> None:
    with pytest.raises(InputError, match="case short: holds something that is no JSON value"):
        writer.set_case(Case("short", {"voice": np.zeros(2)}))
    with pytest.raises(InputError, match="environment: holds something that is no JSON value"):
        writer.set_environment({"path": Path()})


def test_several_threads_may_record(path: Path, make_record: MakeRecord) -> None:
    def record(thread: int) -> None:
        for call in range(200):
            order = thread * 200 + call
            size = DIRECT_BYTES // 8 if call % 50 == 0 else 10
            tensor = np.full(size, order, np.float64)
            writer.append(make_record(tensor, order, f"tap{call % 3}", thread=thread), tensor)

    with CaptureWriter(path, flush_seconds=0.005) as writer:
        threads = [threading.Thread(target=record, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with open_capture(path) as capture:
        assert len(capture) == 800
        assert verify(capture) == ()


def test_an_exception_leaves_an_incomplete_file(path: Path, make_record: MakeRecord) -> None:
    tensor = np.ones(3)

    def run() -> None:
        with CaptureWriter(path) as writer:
            writer.append(make_record(tensor, 0), tensor)
            raise ValueError("the model failed")

    with pytest.raises(ValueError, match="the model failed"):
        run()
    with open_capture(path) as capture:
        assert not capture.complete
        assert len(capture) == 1
    assert not Path(journal_path(str(path))).exists()


def test_flushed_records_are_visible_before_the_end(
    writer: CaptureWriter, make_record: MakeRecord
) -> None:
    tensor = np.ones(3)
    for order in range(3):
        writer.append(make_record(tensor, order), tensor)
        writer.flush()
        with open_capture(writer.path) as capture:
            assert len(capture) == order + 1
            assert not capture.complete


def test_the_clock_and_the_bytes_flush(path: Path, make_record: MakeRecord) -> None:
    tensor = np.ones(3)
    with CaptureWriter(path, flush_seconds=0.0) as writer:
        writer.append(make_record(tensor, 0), tensor)
        assert len(open_capture(path)) == 1
    large = np.ones(100_000)
    with CaptureWriter(path, flush_seconds=1e9, flush_bytes=1_000_000) as writer:
        writer.append(make_record(large, 0), large)
        assert len(open_capture(path)) == 0
        writer.append(make_record(large, 1), large)
        assert len(open_capture(path)) == 2


def test_a_closed_writer_says_so(writer: CaptureWriter, make_record: MakeRecord) -> None:
    writer.close()
    writer.close()
    with pytest.raises(CaptureFileError, match="the capture is closed"):
        writer.append(make_record(np.ones(2), 0), np.ones(2))
    with pytest.raises(CaptureFileError, match="the capture is closed"):
        writer.flush()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaptureFileError, match="No such file or directory") as caught:
        CaptureWriter(tmp_path / "nowhere" / "run.h5")
    assert "check that the folder exists" in str(caught.value)


def test_a_full_disk_is_reported_once_and_the_file_keeps_what_was_flushed(
    path: Path, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    writer = CaptureWriter(path, flush_seconds=1e9)
    small, large = np.ones(3), np.ones(100_000)
    writer.append(make_record(small, 0), small)
    writer.flush()
    monkeypatch.setattr(os, "pwrite", fail)
    for order in (1, 2):
        with pytest.raises(CaptureFileError, match=r"cannot be written.*No space left on device"):
            writer.append(make_record(large, order), large)
    monkeypatch.undo()
    writer.close()
    with open_capture(path) as capture:
        assert not capture.complete
        assert [record.order for record in capture] == [0]
        assert verify(capture) == ()


def test_a_file_that_was_taken_away_is_reported(path: Path) -> None:
    writer = CaptureWriter(path)
    with CaptureWriter(path, meta=CaptureMeta(implementation="second")):
        pass
    with pytest.raises(CaptureFileError, match="was replaced or removed while"):
        writer.close()
    assert open_capture(path).meta.implementation == "second"


def test_one_run_twice_gives_the_same_tensors(tmp_path: Path, make_record: MakeRecord) -> None:
    indexes = []
    for name in ("first.h5", "second.h5"):
        with CaptureWriter(tmp_path / name) as writer:
            for order in range(20):
                tensor = np.full(order, order, np.float32)
                writer.append(make_record(tensor, order), tensor)
        indexes.append(open_capture(tmp_path / name).records)
    assert str(indexes[0]) == str(indexes[1])
