from __future__ import annotations

import contextlib
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parity.backends import MemorySink
from parity.errors import InputError
from parity.tensors import Case, TapPlan
from parity_files.backend import FilesBackend

Read = Callable[..., MemorySink]
Array = np.ndarray[Any, np.dtype[Any]]

ARRAYS: dict[str, Array] = {
    "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
    "float16": np.array([1.5, -0.0, np.inf], np.float16),
    "float64": np.array(np.pi),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "int64": np.array([[2**62]]),
    "bool": np.array([True, False]),
    "complex": np.array([1 + 2j], np.complex64),
    "empty": np.empty((0, 4), np.float32),
    "nan": np.array([np.nan, -np.nan], np.float32),
}


def same(left: Array, right: Array) -> bool:
    return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())


def safetensors(path: Path, arrays: dict[str, Array], **changes: Any) -> None:
    """Writes the format from its description, with entries changed where a test wants damage."""
    names = {"float32": "F32", "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "bool": "BOOL"}
    header: dict[str, Any] = {"__metadata__": {"made": "here"}}
    data = b""
    for name, array in arrays.items():
        offsets = [len(data), len(data) + array.nbytes]
        data += array.tobytes()
        entry = {"dtype": names[str(array.dtype)], "shape": array.shape, "data_offsets": offsets}
        header[name] = {**entry, **changes}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.mark.parametrize("name", ARRAYS)
def test_npy_keeps_every_bit(tmp_path: Path, read: Read, name: str) -> None:
    np.save(tmp_path / "a.npy", ARRAYS[name])
    assert same(read(tmp_path)["a"], ARRAYS[name])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_keeps_every_bit(tmp_path: Path, read: Read, save: Callable[..., None]) -> None:
    save(tmp_path / "a.npz", **ARRAYS)
    sink = read(tmp_path)
    assert all(same(sink[name], array) for name, array in ARRAYS.items())


def test_npz_of_zeros_which_shrink_most_is_not_taken_for_an_attack(
    tmp_path: Path, read: Read
) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1 << 20))
    assert not read(tmp_path)["a"].any()


def test_safetensors_keeps_every_bit_with_bfloat16_and_float8(tmp_path: Path, read: Read) -> None:
    arrays = {
        "f": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array([1.5, -0.0, 3e38], ml_dtypes.bfloat16),
        "e": np.array([[448.0]], ml_dtypes.float8_e4m3fn),
        "odd": np.array([True]),
        "unaligned": np.array([1.0, 2.0], np.float32),
        "none": np.empty((0, 3), np.float32),
    }
    safetensors(tmp_path / "a.safetensors", arrays)
    sink = read(tmp_path)
    assert all(same(sink[name], array) for name, array in arrays.items())


def test_safetensors_written_by_its_own_library(tmp_path: Path, read: Read) -> None:
    library = pytest.importorskip("safetensors.numpy")
    library.save_file({"x": ARRAYS["float32"], "y": ARRAYS["int64"]}, tmp_path / "a.safetensors")
    sink = read(tmp_path)
    assert same(sink["x"], ARRAYS["float32"])
    assert same(sink["y"], ARRAYS["int64"])


def test_other_files_are_left_alone(tmp_path: Path, read: Read) -> None:
    np.save(tmp_path / "a.npy", ARRAYS["float32"])
    (tmp_path / "README.txt").write_text("made by the port")
    (tmp_path / "weights.pt").write_bytes(b"\x80\x04pickle")
    assert [record.key.path for record in read(tmp_path).records] == ["a"]


def test_a_missing_folder(tmp_path: Path, read: Read) -> None:
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        read(tmp_path / "nowhere")


def test_an_empty_folder(tmp_path: Path, read: Read) -> None:
    with pytest.raises(InputError, match=r"holds no \.npy, \.npz or \.safetensors file"):
        read(tmp_path)


def test_only_pickles(tmp_path: Path, read: Read) -> None:
    (tmp_path / "dump.pt").write_bytes(b"\x80\x04")
    with pytest.raises(InputError, match=r"dump\.pt is a pickle, which is never loaded"):
        read(tmp_path)


def test_the_case_chooses_the_folder(tmp_path: Path) -> None:
    (tmp_path / "long").mkdir()
    np.save(tmp_path / "long" / "a.npy", ARRAYS["float32"])
    sink = MemorySink()
    FilesBackend(f"{tmp_path}/{{case}}").capture(Case("long"), TapPlan(), sink)
    assert len(sink.records) == 1


def test_pickled_objects_are_never_loaded(tmp_path: Path, read: Read) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "exploded"),))

    np.save(tmp_path / "a.npy", np.array([Bomb()], object), allow_pickle=True)
    with pytest.raises(InputError, match="its element type object is not numeric"):
        read(tmp_path)
    np.savez(tmp_path / "a.npz", a=np.array([Bomb()], object))
    (tmp_path / "a.npy").unlink()
    with pytest.raises(InputError, match="its element type object is not numeric"):
        read(tmp_path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("array", [np.array(["text"]), np.array([(1, 2.0)], "i4,f8")])
def test_what_is_no_number_is_refused(tmp_path: Path, read: Read, array: Array) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match="is not numeric"):
        read(tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 9, 60, -1])
def test_a_truncated_npy(tmp_path: Path, read: Read, keep: int) -> None:
    np.save(tmp_path / "a.npy", ARRAYS["float32"])
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:keep])
    with pytest.raises(InputError, match=r"a\.npy: damaged or not what its name says"):
        read(tmp_path)


def test_an_npy_that_claims_more_than_there_is(tmp_path: Path, read: Read) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 4000000000), }\n"
    (tmp_path / "a.npy").write_bytes(
        b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 24
    )
    with pytest.raises(InputError, match="its header announces 64000000000000000000 bytes"):
        read(tmp_path)


def test_an_npy_with_a_negative_extent(tmp_path: Path, read: Read) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -3), }\n"
    (tmp_path / "a.npy").write_bytes(
        b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 24
    )
    with pytest.raises(InputError, match="its shape is"):
        read(tmp_path)


def test_a_zip_bomb(tmp_path: Path, read: Read) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1 << 16))
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        size = archive.infolist()[0].file_size
    start = whole.rindex(b"PK\x01\x02")
    assert struct.unpack_from("<I", whole, start + 24)[0] == size
    struct.pack_into("<I", whole, start + 24, 1 << 31)
    (tmp_path / "a.npz").write_bytes(whole)
    with pytest.raises(InputError, match="bytes cannot unpack to 2147483648"):
        read(tmp_path)


def test_an_npz_whose_checksum_is_wrong(tmp_path: Path, read: Read) -> None:
    np.savez(tmp_path / "a.npz", a=ARRAYS["float32"])
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    whole[whole.index(np.float32(5.0).tobytes())] ^= 1
    (tmp_path / "a.npz").write_bytes(whole)
    with pytest.raises(InputError, match="Bad CRC-32"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_offsets": [0, 1 << 40]}, "bytes 0 to"),
        ({"data_offsets": [8, 4]}, "bytes 8 to 4"),
        ({"data_offsets": [-24, 0]}, "negative or broken numbers"),
        ({"data_offsets": [0]}, "cannot use its entry"),
        ({"data_offsets": "no"}, "negative or broken numbers"),
        ({"shape": [2, 30]}, "24 bytes for float32"),
        ({"shape": [2.0, 3]}, "negative or broken numbers"),
        ({"shape": [True, 6]}, "negative or broken numbers"),
        ({"shape": 6}, "cannot use its entry"),
        ({"dtype": "F99"}, "cannot use its entry"),
        ({"dtype": ["F32"]}, "cannot use its entry"),
    ],
)
def test_a_hostile_safetensors_entry(
    tmp_path: Path, read: Read, changes: dict[str, Any], message: str
) -> None:
    safetensors(tmp_path / "a.safetensors", {"x": ARRAYS["float32"]}, **changes)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "its header claims 0 bytes"),
        (struct.pack("<Q", 1 << 50), "its header claims"),
        (struct.pack("<Q", 3) + b"{]}", "its header is not JSON"),
        (struct.pack("<Q", 2) + b"[]", "its header is not a JSON object"),
        (struct.pack("<Q", 9) + b'{"x": [1]}'[:9], "its header is not JSON"),
        (struct.pack("<Q", 200_000) + b"[" * 200_000, "its header is not JSON"),
        (struct.pack("<Q", 8) + b'{"x": 1}', "cannot use its entry 1"),
    ],
)
def test_a_hostile_safetensors_header(
    tmp_path: Path, read: Read, content: bytes, message: str
) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
def test_damage_anywhere_never_ends_in_another_error(
    tmp_path: Path, read: Read, suffix: str, data: st.DataObject
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, ARRAYS["float32"])
    elif suffix == ".npz":
        np.savez_compressed(path, x=ARRAYS["float32"], y=ARRAYS["int64"])
    else:
        safetensors(path, {"x": ARRAYS["float32"]})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(InputError):
        read(tmp_path)


def test_a_link_that_leads_out_is_refused(tmp_path: Path, read: Read) -> None:
    np.save(tmp_path / "secret.npy", ARRAYS["float32"])
    (tmp_path / "dump").mkdir()
    (tmp_path / "dump" / "a.npy").symlink_to(tmp_path / "secret.npy")
    with pytest.raises(InputError, match="is a link that leads out of the folder"):
        read(tmp_path / "dump")


def test_a_link_inside_the_folder_is_followed(tmp_path: Path, read: Read) -> None:
    np.save(tmp_path / "a.npy", ARRAYS["float32"])
    (tmp_path / "b.npy").symlink_to(tmp_path / "a.npy")
    assert same(read(tmp_path)["b"], ARRAYS["float32"])


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, read: Read) -> None:
    os.mkfifo(tmp_path / "a.npy")
    with pytest.raises(InputError, match="is not a plain file"):
        read(tmp_path)


def test_a_dangling_link(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.npy").symlink_to(tmp_path / "gone.npy")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)


def test_a_tensor_larger_than_allowed(tmp_path: Path, read: Read) -> None:
    np.save(tmp_path / "a.npy", ARRAYS["float32"])
    assert read(tmp_path, max_bytes="24")
    with pytest.raises(InputError, match=r"float32\[2,3\] is larger than 23 bytes"):
        read(tmp_path, max_bytes=23)
