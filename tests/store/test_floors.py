"""Noise floors in a capture: what goes in comes out, and nothing else is damaged."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from parity.errors import CaptureFileError, InputError
from parity.store import CaptureWriter, RecordFloors, open_capture, verify, write_floors
from parity.store.expand import is_in_place
from parity.store.layout import FLOOR_TYPE
from parity.tensors import TapRecord


def floors_of(size: int = 11, *, scale: float = 1e-6) -> RecordFloors:
    floor = scale * np.arange(size, dtype=np.float64)
    floor[3:4] = np.nan
    unstable = np.zeros(size, bool)
    unstable[10 % size] = True
    return RecordFloors(floor, unstable, {"runs": ["2 threads"], "threads": 1})


def test_what_goes_in_comes_out(small: Path) -> None:
    write_floors(small, {"float32": floors_of(), "float16": floors_of(scale=1e-3)})
    with open_capture(small) as capture:
        assert capture.floor_precisions == ("float32", "float16")
        np.testing.assert_array_equal(capture.floors("float32"), floors_of().floor)
        np.testing.assert_array_equal(capture.floors("float16"), floors_of(scale=1e-3).floor)
        assert np.flatnonzero(capture.unstable("float32")).tolist() == [10]
        assert capture.floor_facts("float32") == {"runs": ["2 threads"], "threads": 1}


def test_a_capture_without_floors_knows_none(small: Path) -> None:
    with open_capture(small) as capture:
        assert capture.floor_precisions == ()
        assert np.isnan(capture.floors("float32")).all()
        assert not capture.unstable("float32").any()
        assert capture.floor_facts("float32") == {}
        with pytest.raises(InputError, match="there is no precision 'int8'"):
            capture.floors("int8")


def test_the_rest_stays_where_it_is(small: Path) -> None:
    with open_capture(small) as before:
        write_floors(small, {"float32": floors_of()})
        # Who has the file open still reads the one he opened.
        assert before.floor_precisions == ()
        with open_capture(small) as after, h5py.File(small) as h5:
            assert str(after.records) == str(before.records)
            assert after.run_id == before.run_id
            assert verify(after) == ()
            assert is_in_place(h5, after.columns.table, after.columns.series, where="")


def test_measuring_again_replaces(small: Path) -> None:
    write_floors(small, {"float32": floors_of(), "float16": floors_of()})
    write_floors(small, {"float32": floors_of(scale=1e-5)})
    with open_capture(small) as capture:
        assert capture.floors("float32")[2] == 2e-5
        assert capture.floors("float16")[2] == 2e-6
        assert verify(capture) == ()


def test_floors_belong_to_records_not_to_rows(
    path: Path, make_record: Callable[..., TapRecord]
) -> None:
    array = np.zeros(3, np.float32)
    with CaptureWriter(path) as writer:
        for order in (2, 0, 3, 1):
            writer.append(make_record(array, order), array)
    floor = np.array([1e-7, 2e-7, np.nan, 4e-7])
    write_floors(path, {"float32": RecordFloors(floor, np.array([True, False, False, False]), {})})
    with open_capture(path) as capture:
        assert [record.order for record in capture.records] == [0, 1, 2, 3]
        np.testing.assert_array_equal(capture.floors("float32"), floor)
        assert capture.unstable("float32").tolist() == [True, False, False, False]
    with h5py.File(path) as h5:
        assert h5["floors/float32/table"]["record"].tolist() == [1, 2, 3]
        assert h5["floors/float32/table"]["floor"].tolist() == [1e-7, 4e-7, 2e-7]


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}], ids=["repacked", "gzip"])
def test_a_repacked_capture_keeps_them(small: Path, options: dict[str, Any]) -> None:
    write_floors(small, {"float32": floors_of()})
    target = small.with_name("repacked.h5")
    with h5py.File(small) as old, h5py.File(target, "w") as new:
        for name, value in old.attrs.items():
            new.attrs.create(name, value, dtype=old.attrs.get_id(name).dtype)

        def visit(name: str, node: h5py.Group | h5py.Dataset) -> None:
            if isinstance(node, h5py.Dataset):
                chosen = options if node.shape and node.size and name != "run_id" else {}
                new.create_dataset(name, data=node[()], dtype=node.dtype, **chosen)

        old.visititems(visit)
        for group in ("tensors", "noise", "case"):
            new.require_group(group)
    with open_capture(target) as capture:
        np.testing.assert_array_equal(capture.floors("float32"), floors_of().floor)
        assert verify(capture) == ()


@pytest.mark.parametrize(
    ("floors", "message"),
    [
        (floors_of(10), r"\[10\] are not one for each of 11 records"),
        (floors_of(scale=-1.0), "a noise floor is negative or infinite"),
        (RecordFloors(np.full(11, np.inf), np.zeros(11, bool), {}), "is negative or infinite"),
    ],
)
def test_unusable_floors_are_not_written(small: Path, floors: RecordFloors, message: str) -> None:
    whole = small.read_bytes()
    with pytest.raises(InputError, match=message):
        write_floors(small, {"float32": floors})
    with pytest.raises(InputError, match="there is no precision 'int8'"):
        write_floors(small, {"int8": floors_of()})
    assert small.read_bytes() == whole


def test_an_incomplete_capture_gets_none(path: Path, make_record: Callable[..., TapRecord]) -> None:
    writer = CaptureWriter(path)
    writer.append(make_record(np.zeros(3), 0), np.zeros(3))
    writer.close(complete=False)
    with pytest.raises(CaptureFileError, match="is incomplete, and its noise floors would be too"):
        write_floors(path, {"float32": floors_of(1)})


def test_a_full_disk_leaves_the_capture(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = small.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("parity.store.floors._add", fail)
    with pytest.raises(
        CaptureFileError, match=r"the noise floors cannot be written.*No space left"
    ):
        write_floors(small, {"float32": floors_of()})
    assert small.read_bytes() == whole
    assert [entry.name for entry in small.parent.iterdir()] == [small.name]


KILLED = """
import os, sys
import numpy as np
from parity.store import RecordFloors, floors
written = floors._add
def killed(*given):
    written(*given)
    os.kill(os.getpid(), 9)
floors._add = killed
found = RecordFloors(np.zeros(11), np.zeros(11, bool), {})
floors.write_floors(sys.argv[1], {"float32": found})
"""


def test_a_kill_leaves_the_capture(small: Path) -> None:
    whole = small.read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, str(small)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert small.read_bytes() == whole
    write_floors(small, {"float32": floors_of()})
    with open_capture(small) as capture:
        assert capture.floor_precisions == ("float32",)


def table(*rows: tuple[int, float, int]) -> np.ndarray[Any, Any]:
    return np.array(list(rows), FLOOR_TYPE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (table((0, -1e-9, 0)), "has a floor that is no error"),
        (table((0, np.nan, 0)), "has a floor that is no error"),
        (table((0, np.inf, 0)), "has a floor that is no error"),
        (table((0, 1e-6, 2)), "has a mark that is neither 0 nor 1"),
        (table((11, 1e-6, 0)), "refers to a record that is not there, or to one twice"),
        (table((-1, 1e-6, 0)), "refers to a record that is not there, or to one twice"),
        (table((4, 1e-6, 0), (4, 1e-6, 0)), "to one twice"),
        (table(*[(0, 1e-6, 0)] * 12), "has more floors than there are records"),
        (np.zeros(11), "has rows of an unknown type"),
    ],
)
def test_hostile_floors_are_refused(
    small: Path, content: np.ndarray[Any, Any], message: str
) -> None:
    with h5py.File(small, "r+") as h5:
        h5["floors/float32/table"] = content
    with pytest.raises(CaptureFileError, match=message):
        open_capture(small)


def test_floors_that_are_no_table_are_refused(small: Path) -> None:
    other = small.with_name("other.h5")
    other.write_bytes(small.read_bytes())
    with h5py.File(small, "r+") as h5:
        h5["floors"] = np.zeros(3)
    with pytest.raises(CaptureFileError, match="/floors is not a group"):
        open_capture(small)
    with h5py.File(other, "r+") as h5:
        h5["floors"] = h5py.ExternalLink(str(small), "/")
    with pytest.raises(CaptureFileError, match="/floors is not a group"):
        open_capture(other)


@pytest.mark.parametrize("about", ["[1]", "{", "[" * 100_000])
def test_facts_that_are_none_are_refused(small: Path, about: str) -> None:
    write_floors(small, {"float32": floors_of()})
    with h5py.File(small, "r+") as h5:
        del h5["floors/float32/about"]
        h5["floors/float32"].create_dataset("about", data=np.bytes_(about))
    with pytest.raises(CaptureFileError, match="about is no JSON object"):
        open_capture(small)


def test_access_rights_stay(small: Path) -> None:
    small.chmod(0o640)
    write_floors(small, {"float32": floors_of()})
    assert small.stat().st_mode & 0o777 == 0o640
