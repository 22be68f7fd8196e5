"""Captures that another tool has rewritten since."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest

from parity.errors import CaptureFileError
from parity.store import CaptureWriter, open_capture, verify
from parity.store.expand import is_in_place
from parity.tensors import NoiseDraw, TapRecord


@pytest.fixture
def varied(path: Path, make_record: Callable[..., TapRecord]) -> Path:
    tensors = [
        np.arange(6, dtype=np.float32).reshape(2, 3), np.array(-0.0), np.zeros((0, 3), np.int8),
        np.array([True, False]), np.array([1 + 2j], np.complex64),
        np.arange(4, dtype=ml_dtypes.bfloat16), np.zeros((150, 151)), np.zeros((1,) * 40),
    ]  # fmt: skip
    with CaptureWriter(path) as writer:
        for order in range(40):
            tensor = tensors[order % len(tensors)]
            writer.append(make_record(tensor, order, f"tap{order % 3}"), tensor)
        writer.append_noise(NoiseDraw(np.arange(5.0), "normal", "flow.py:3"))
    return path


def rewritten(path: Path, **options: Any) -> Path:
    """A copy whose tensors are stored anew with `options`, and everything else as it was."""
    target = path.with_name("rewritten.h5")
    with h5py.File(path) as old, h5py.File(target, "w") as new:
        for name, value in old.attrs.items():
            new.attrs.create(name, value, dtype=old.attrs.get_id(name).dtype)

        def visit(name: str, node: h5py.Group | h5py.Dataset) -> None:
            if isinstance(node, h5py.Dataset):
                chosen = options if node.shape and node.size and name != "run_id" else {}
                copy = new.create_dataset(name, data=node[()], dtype=node.dtype, **chosen)
                for key, value in node.attrs.items():
                    copy.attrs[key] = value
            else:
                new.require_group(name)

        old.visititems(visit)
    return target


@pytest.mark.parametrize(
    "options",
    [{}, {"compression": "gzip", "shuffle": True}, {"compression": "lzf"}, {"fletcher32": True}],
    ids=["repacked", "gzip", "lzf", "checksummed"],
)
def test_a_rewritten_capture_reads_the_same(varied: Path, options: dict[str, Any]) -> None:
    with open_capture(varied) as old, open_capture(rewritten(varied, **options)) as new:
        assert str(new.records) == str(old.records)
        assert verify(new) == ()
        for position in range(len(old)):
            assert new.read(position).dtype == old.read(position).dtype
            assert new.read(position).tobytes() == old.read(position).tobytes()
        assert new.noise[0].values.tolist() == [0, 1, 2, 3, 4]
        assert new.case == old.case


def test_one_moved_tensor_is_noticed(small: Path) -> None:
    with h5py.File(small, "r+") as h5:
        content = h5["tensors/net.norm/output"][:]
        del h5["tensors/net.norm/output"]
        h5["tensors/net.norm/output"] = content[::-1]
    with open_capture(small) as capture:
        assert capture.read(0)[0, 0] == 9
        # Call n now holds what call 9-n held: none has its digest.
        assert len(verify(capture)) == 10


def test_an_untouched_capture_is_in_place(small: Path) -> None:
    with open_capture(small) as capture, h5py.File(small) as h5:
        columns = capture.columns
        assert is_in_place(h5, columns.table, columns.series, where="")
        moved = columns.table.copy()
        moved["offset"][0] += 8
        assert not is_in_place(h5, moved, columns.series, where="")


def test_a_bomb_is_not_unpacked(small: Path) -> None:
    with h5py.File(small, "r+") as h5:
        del h5["tensors/net.norm/output"]
        h5.create_dataset(
            "tensors/net.norm/output", shape=(1 << 30, 2, 3), dtype="<f4",
            chunks=(1 << 20, 2, 3), compression="gzip",
        )  # fmt: skip
    with pytest.raises(CaptureFileError, match="declares more than it can hold"):
        open_capture(small)


@pytest.mark.parametrize("shape", [(10, 3), (10, 2, 4)])
def test_a_stack_of_another_shape_is_refused(small: Path, shape: tuple[int, ...]) -> None:
    with h5py.File(small, "r+") as h5:
        del h5["tensors/net.norm/output"]
        h5["tensors/net.norm/output"] = np.zeros(shape, np.float32)
    with pytest.raises(CaptureFileError, match="is not what the index says of it"):
        open_capture(small)


def test_a_stack_with_too_few_rows_is_refused(small: Path) -> None:
    with h5py.File(small, "r+") as h5:
        del h5["tensors/net.norm/output"]
        h5["tensors/net.norm/output"] = np.zeros((9, 2, 3), np.float32)
    with pytest.raises(CaptureFileError, match="row 9 of the index points outside the file"):
        open_capture(small)


def test_damage_is_found_by_the_digests(small: Path) -> None:
    with open_capture(small) as capture:
        assert verify(capture) == ()
    with h5py.File(small, "r+") as h5:
        h5["tensors/net.norm/output"][4, 1, 1] += 1e-6
    with open_capture(small) as capture:
        assert [key.call for key in verify(capture)] == [4]
