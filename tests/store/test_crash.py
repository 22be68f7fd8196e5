from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.errors import CaptureFileError
from parity.store import CaptureWriter, open_capture, verify
from parity.store.journal import Journal, pack_journal, unpack_journal
from parity.store.journaled import JournaledFile
from parity.tensors import NoiseDraw, TapRecord

RECORDS = 25
KILLED_RUN = Path(__file__).with_name("killed_run.py")


class Images:
    """Copies of a capture as a kill in the middle of each of its writes would leave it."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.folder = folder
        self.flushed: list[int] = []
        self.records_flushed = 0

    def take(self) -> None:
        if self.path.exists():
            place = self.folder / f"{len(self.flushed)}"
            place.mkdir()
            for name in (self.path.name, f"{self.path.name}.journal"):
                if (self.path.parent / name).exists():
                    shutil.copy(self.path.parent / name, place / name)
            self.flushed.append(self.records_flushed)

    def __iter__(self) -> Iterator[tuple[Path, int]]:
        for number, flushed in enumerate(self.flushed):
            yield self.folder / f"{number}" / self.path.name, flushed


@pytest.fixture
def images(
    path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Images:
    images = Images(path, tmp_path_factory.mktemp("images"))
    really_write = os.pwrite

    def torn_write(fd: int, data: memoryview, position: int) -> int:
        half = len(data) // 2
        really_write(fd, data[:half], position)
        images.take()
        return half + really_write(fd, data[half:], position + half)

    monkeypatch.setattr(os, "pwrite", torn_write)
    return images


def eventful_run(path: Path, images: Images, make_record: Callable[..., TapRecord]) -> None:
    """New taps, growing tables, rewritten attributes and texts, and a flush now and then."""
    with CaptureWriter(path, flush_seconds=1e9, buffer_bytes=2048) as writer:
        for order in range(RECORDS):
            shape = ((), (5,), (0, 2), (40, 30), (9, 9, 33))[order % 5]
            array = np.full(shape, order, np.float64)
            name = f"block.{order % 23}{'.inner' * (order % 23)}"
            writer.append(make_record(array, order, name, source=f"f.py:{order}"), array)
            if order % 4 == 0:
                draw = NoiseDraw(np.full(3, order, np.float32), "normal", f"g.py:{order}")
                writer.append_noise(draw)
            if order % 5 == 4:
                writer.update_meta(extra={"order": order}, code_revision="r" * order)
                writer.set_environment({"text": "x" * 100 * (order % 7)})
                writer.flush()
                images.records_flushed = order + 1


def test_a_kill_within_any_write_leaves_all_that_was_flushed(
    path: Path, images: Images, make_record: Callable[..., TapRecord]
) -> None:
    eventful_run(path, images, make_record)

    replayed = 0
    for image, flushed in images:
        with open_capture(image) as capture:
            assert flushed <= len(capture) <= RECORDS
            assert verify(capture) == ()
            assert [record.order for record in capture.records] == list(range(len(capture)))
            assert [draw.values[0] for draw in capture.noise] == [
                4 * draw for draw in range(len(capture.noise))
            ]
            assert not capture.complete or flushed == RECORDS
            journal = image.with_name(f"{image.name}.journal")
            replayed += journal.stat().st_size > 0
    assert len(images.flushed) > 60
    assert replayed > 5


def test_without_the_journal_a_kill_does_harm(
    path: Path,
    images: Images,
    make_record: Callable[..., TapRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(JournaledFile, "commit", lambda *_, **__: True)

    eventful_run(path, images, make_record)

    assert any(is_harmed(image, flushed) for image, flushed in images)
    assert not is_harmed(path, RECORDS)


# In a process of its own: HDF5 may crash on a torn file.
READ = """
import sys
from parity.store import open_capture, verify
with open_capture(sys.argv[1]) as capture:
    sys.exit(len(capture) < int(sys.argv[2]) or bool(verify(capture)))
"""


def is_harmed(image: Path, flushed: int) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", READ, image, str(flushed)], capture_output=True, check=False
    )
    return done.returncode != 0


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_process_leaves_a_readable_file(path: Path, seed: int) -> None:
    process = subprocess.Popen(
        [sys.executable, KILLED_RUN, path, str(seed), "0.005"], stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.1 + 0.07 * seed)
        process.send_signal(signal.SIGKILL)

    with open_capture(path) as capture:
        assert not capture.complete
        assert capture.meta.implementation == "killed"
        assert len(capture) > 0
        assert verify(capture) == ()
        assert [record.order for record in capture.records] == list(range(len(capture)))


def test_a_reader_follows_a_running_writer(path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, KILLED_RUN, path, "7", "0.002"], stdout=subprocess.PIPE
    )
    seen = []
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(25):
            with open_capture(path) as capture:
                seen.append(len(capture))
                assert verify(capture) == ()
                assert [record.order for record in capture.records] == list(range(seen[-1]))
        assert process.poll() is None
        process.kill()
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


def test_an_open_capture_outlives_its_replacement(
    path: Path, make_record: Callable[..., TapRecord]
) -> None:
    for value in (1.0, 2.0):
        array = np.full(1000, value, np.float32)
        with CaptureWriter(path) as writer:
            writer.append(make_record(array, 0), array)
        if value == 1.0:
            old = open_capture(path)
    assert old.read(0)[0] == 1.0
    assert open_capture(path).read(0)[0] == 2.0
    old.close()


def test_the_older_file_stays_until_the_new_one_has_begun(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(CaptureFileError, match="No space left on device"):
        CaptureWriter(small)
    monkeypatch.undo()

    assert len(open_capture(small)) == 11
    assert [entry.name for entry in small.parent.iterdir()] == [small.name]


@pytest.mark.parametrize("ours", [True, False])
def test_a_journal_is_laid_over_its_own_capture_only(small: Path, ours: bool) -> None:
    with h5py.File(small) as h5:
        run_id, offset = h5["run_id"][:].tobytes(), int(h5.attrs["run_id_offset"])
    with open_capture(small) as capture:
        place = int(capture.columns.offsets[3])
    change = (place, np.full((2, 3), 99, np.float32).tobytes())
    journal = Journal(run_id if ours else bytes(16), offset, (change,))
    Path(f"{small}.journal").write_bytes(pack_journal(journal))

    with open_capture(small) as capture:
        assert capture.read(3)[0, 0] == (99 if ours else 3)
        capture.release()
        assert capture.read(3)[0, 0] == (99 if ours else 3)
        assert len(verify(capture)) == ours
    with h5py.File(small) as h5:
        assert h5["tensors/net.norm/output"][3, 0, 0] == 3


@given(
    extents=st.lists(st.tuples(st.integers(0, 2**40), st.binary(max_size=30)), max_size=5),
    cut=st.integers(0, 10_000),
)
def test_a_journal_is_read_whole_or_not_at_all(extents: list[tuple[int, bytes]], cut: int) -> None:
    journal = Journal(b"0123456789abcdef", 64, tuple(extents))
    content = pack_journal(journal)
    assert unpack_journal(content) == journal
    assert unpack_journal(content[: cut % len(content)]) is None
    flipped = bytearray(content)
    flipped[cut % len(content)] ^= 1
    assert unpack_journal(bytes(flipped)) is None
