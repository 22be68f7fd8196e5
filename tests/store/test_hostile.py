from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from parity.errors import CaptureFileError
from parity.store import CaptureWriter, open_capture
from parity.store.layout import INDEX_TYPE
from parity.tensors import NoiseDraw

Edit = Callable[[h5py.File], object]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CaptureFileError, match=r"nothing\.h5: does not exist") as caught:
        open_capture(tmp_path / "nothing.h5")
    assert "`parity capture` writes a capture" in str(caught.value)


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CaptureFileError, match="is a folder"):
        open_capture(tmp_path)


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CaptureFileError, match="cannot be read: Illegal seek"):
        open_capture(tmp_path / "pipe")


def test_an_empty_file(path: Path) -> None:
    path.touch()
    with pytest.raises(CaptureFileError, match="is empty"):
        open_capture(path)


@pytest.mark.parametrize("content", [b"PK\3\4", b"\x93NUMPY" + bytes(100), b"x" * 5000])
def test_something_else(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CaptureFileError, match="is not an HDF5 file") as caught:
        open_capture(path)
    assert "`parity import`" in str(caught.value)


def test_an_hdf5_file_of_another_program(path: Path) -> None:
    with h5py.File(path, "w") as h5:
        h5["tensors"] = np.zeros(3)
    with pytest.raises(CaptureFileError, match="is an HDF5 file, but not a parity capture"):
        open_capture(path)


@pytest.mark.parametrize(("version", "hint"), [(2, "upgrade parity"), (0, "record it again")])
def test_another_version(small: Path, version: int, hint: str) -> None:
    with h5py.File(small, "r+") as h5:
        h5.attrs["version"] = version
    with pytest.raises(
        CaptureFileError, match=f"format version {version}.*reads version 1"
    ) as caught:
        open_capture(small)
    assert hint in str(caught.value)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file(small: Path, share: float) -> None:
    os.truncate(small, int(small.stat().st_size * share))
    with pytest.raises(CaptureFileError, match="is truncated: its end is missing"):
        open_capture(small)


def test_flipped_bytes_never_give_a_traceback(small: Path) -> None:
    whole = small.read_bytes()
    random = np.random.default_rng(1)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 40):
            damaged[place] ^= 1 << int(random.integers(8))
        small.write_bytes(damaged)
        try:
            with open_capture(small) as capture:
                assert all(capture.view(i).shape == r.spec.shape for i, r in enumerate(capture))
        except CaptureFileError:
            refused += 1
    assert refused > 75


def replaced(h5: h5py.File, name: str, content: Any, **options: Any) -> None:
    del h5[name]
    h5.create_dataset(name, data=content, **options)


def with_index(field: str, value: int) -> Edit:
    def edit(h5: h5py.File) -> None:
        rows = h5["index"][:]
        rows[field][3] = value
        h5["index"][:] = rows

    return edit


def with_series(field: str, value: bytes) -> Edit:
    def edit(h5: h5py.File) -> None:
        rows = h5["series"][:].astype([(name, "S400") for name in h5["series"].dtype.names])
        rows[field][0] = value
        replaced(h5, "series", rows)

    return edit


def linked(name: str, link: Any) -> Edit:
    def edit(h5: h5py.File) -> None:
        h5.move(name, "elsewhere")
        h5[name] = link

    return edit


def external(h5: h5py.File) -> None:
    del h5["index"]
    h5.create_dataset("index", shape=(3,), dtype=INDEX_TYPE, external=[("/etc/passwd", 0, 10**6)])


def virtual(h5: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(3,), dtype=INDEX_TYPE)
    layout[:] = h5py.VirtualSource("other.h5", "index", shape=(3,))
    del h5["index"]
    h5.create_virtual_dataset("index", layout)


def huge(h5: h5py.File) -> None:
    h5["index"].resize((1 << 40,))


def bomb(h5: h5py.File) -> None:
    del h5["producers"]
    h5.create_dataset("producers", shape=(10**8,), dtype="<i8", chunks=(10**6,), compression="gzip")
    h5["producers"][:1000] = 1


HOSTILE = {
    "unknown series": (with_index("series", 99), "refers to a series that is not there"),
    "negative series": (with_index("series", -1), "refers to a series that is not there"),
    "unknown phase": (with_index("phase", 99), "refers to a phase that is not there"),
    "unknown tier": (with_index("tier", 77), "refers to a tier that is not there"),
    "producers outside": (with_index("producers_start", 99), "producers that are not there"),
    "producers overflow": (
        with_index("producers_count", (1 << 31) - 1), "producers that are not there",
    ),
    "huge shape": (with_series("shape", b"9999999999x9999999999"), "is not what the index says"),
    "negative shape": (with_series("shape", b"-3x2"), "is not a shape"),
    "endless shape": (with_series("shape", b"x".join([b"1"] * 99)), "is not a shape"),
    "long number": (with_series("shape", b"1" * 300), "is not a shape"),
    "unknown type": (with_series("dtype", b"object"), "unknown element type 'object'"),
    "unknown role": (with_series("role", b"virus"), "unknown role 'virus'"),
    "dataset elsewhere": (with_series("dataset", b"/../../etc"), "is missing"),
    "dataset is a group": (with_series("dataset", b"/tensors"), "is not a dataset"),
    "external link": (linked("index", h5py.ExternalLink("other.h5", "/index")), "is a link"),
    "soft link": (linked("index", h5py.SoftLink("/elsewhere")), "is a link"),
    "linked tensors": (linked("tensors", h5py.ExternalLink("o.h5", "/")), "is a link"),
    "external storage": (external, "takes its data from another file"),
    "virtual dataset": (virtual, "takes its data from another file"),
    "huge declared table": (huge, "declares 1099511627776 rows but holds fewer"),
    "compressed table": (bomb, "declares 100000000 rows but holds fewer"),
    "index of another type": (lambda h5: replaced(h5, "index", np.zeros(3)), "unknown type"),
    "index of two axes": (
        lambda h5: replaced(h5, "index", np.zeros((2, 2), INDEX_TYPE)), "unknown type",
    ),
    "no index": (lambda h5: h5.__delitem__("index"), "index is missing"),
    "no tensors": (lambda h5: h5.__delitem__("tensors"), "tensors.* is missing"),
    "listed facts": (lambda h5: h5.attrs.__setitem__("hardware", ["a", "b"]), "single value"),
    "numeric facts": (lambda h5: h5.attrs.__setitem__("hardware", 3), "is no str"),
    "broken facts": (lambda h5: h5.attrs.__setitem__("extra", np.bytes_("{")), "no JSON object"),
    "broken case": (
        lambda h5: h5["case"].create_dataset("json", data=np.bytes_('{"name": 1}')), "the case",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused(small: Path, name: str) -> None:
    edit, message = HOSTILE[name]
    with h5py.File(small, "r+") as h5:
        edit(h5)
    with pytest.raises(CaptureFileError, match=message) as caught:
        open_capture(small)
    assert str(small) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("offset", [1 << 50, -5, (1 << 63) - 1])
def test_an_offset_that_points_outside(
    writer: CaptureWriter, make_record: Callable[..., Any], offset: int
) -> None:
    for order in range(100):
        writer.append(make_record(np.zeros(4), order), np.zeros(4))
    writer.close()
    with h5py.File(writer.path, "r+") as h5:
        with_index("offset", offset)(h5)
    with pytest.raises(CaptureFileError, match="row 3 of the index points outside the file"):
        open_capture(writer.path)


def test_a_record_that_refers_to_a_draw(
    writer: CaptureWriter, make_record: Callable[..., Any]
) -> None:
    writer.append(make_record(np.zeros(4), 0), np.zeros(4))
    writer.append_noise(NoiseDraw(np.zeros(4), "normal"))
    writer.close()
    with h5py.File(writer.path, "r+") as h5:
        rows = h5["index"][:]
        rows["series"] = 1
        h5["index"][:] = rows
    with pytest.raises(CaptureFileError, match="a record refers to a random draw"):
        open_capture(writer.path)


def test_strings_of_any_length_are_not_read(small: Path) -> None:
    with h5py.File(small, "r+") as h5:
        replaced(h5, "strings", ["a", "b"])
    with pytest.raises(CaptureFileError, match="strings has rows of an unknown type"):
        open_capture(small)
    with h5py.File(small, "r+") as h5:
        h5.attrs["format"] = "parity-capture"
    with pytest.raises(CaptureFileError, match="not a single value of fixed size"):
        open_capture(small)


def test_a_case_array_larger_than_the_file(small: Path) -> None:
    with h5py.File(small, "r+") as h5:
        h5.create_dataset("case/arrays/x", shape=(1 << 40,), dtype="f4", chunks=(1024,))
        text = (
            '{"name": "c", "inputs": {}, "seed": 0, "arrays": '
            '{"x": {"dtype": "float32", "dataset": "/case/arrays/x", "shape": [1099511627776]}}}'
        )
        h5["case"].create_dataset("json", data=np.bytes_(text))
    with pytest.raises(CaptureFileError, match="declares more than it holds"):
        open_capture(small)


def test_two_records_of_one_name(writer: CaptureWriter, make_record: Callable[..., Any]) -> None:
    for order in range(2):
        writer.append(make_record(np.zeros(2), order, call=0), np.zeros(2))
    writer.close()
    capture = open_capture(writer.path)
    with pytest.raises(CaptureFileError, match=r"net\.norm:output#0 is recorded twice"):
        capture.read(capture.records[0])


def test_an_endless_journal_is_not_read(small: Path) -> None:
    journal = Path(f"{small}.journal")
    journal.touch()
    os.truncate(journal, 1 << 40)
    with open_capture(small) as capture:
        assert len(capture) == 11


def test_a_journal_that_is_a_pipe_does_not_hang(small: Path) -> None:
    os.mkfifo(f"{small}.journal")
    with open_capture(small) as capture:
        assert len(capture) == 11


def test_reading_changes_nothing(small: Path) -> None:
    before = shutil.copy(small, f"{small}.copy")
    small.chmod(0o444)
    with open_capture(small) as capture:
        assert len(capture.records) == 11
        with pytest.raises(ValueError, match="read-only"):
            capture.view(0)[0] = 1
    assert small.read_bytes() == Path(before).read_bytes()
