from __future__ import annotations

from pathlib import Path
from typing import cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parity.store.journaled import JournaledFile
from parity.store.overlay import PAGE, PageOverlay

WRITES = st.lists(
    st.tuples(st.integers(0, 3 * PAGE), st.integers(1, 2 * PAGE), st.integers(1, 255)), max_size=8
)


@given(writes=WRITES, size=st.integers(0, 4 * PAGE))
def test_an_overlay_patches_what_was_put(writes: list[tuple[int, int, int]], size: int) -> None:
    beneath = bytes(index % 251 for index in range(size))
    truth = bytearray(beneath.ljust(6 * PAGE, b"\0"))
    overlay = PageOverlay()
    for position, length, value in writes:
        start = position // PAGE * PAGE
        overlay.put(position, memoryview(bytes([value]) * length), beneath[start:])
        truth[position : position + length] = bytes([value]) * length

    seen = bytearray(beneath.ljust(6 * PAGE, b"\0"))
    overlay.patch(0, memoryview(seen))
    assert seen == truth
    applied = bytearray(beneath.ljust(6 * PAGE, b"\0"))
    for position, data in overlay.extents():
        applied[position : position + len(data)] = data
    assert applied == truth
    assert bool(overlay) == bool(writes)


COMMIT = "commit"
STEPS = st.lists(
    st.one_of(
        st.just(COMMIT),
        st.tuples(st.integers(0, 3 * PAGE), st.integers(1, 2 * PAGE), st.integers(1, 255)),
    ),
    max_size=14,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_the_disk_holds_the_last_commit_and_the_reader_the_last_write(
    steps: list[str | tuple[int, int, int]], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    file = JournaledFile(path)
    file.begin_journal(f"{path}.journal")
    truth, committed = bytearray(6 * PAGE), b""
    for step in steps:
        if step == COMMIT:
            assert file.commit(bytes(16), 0, patience_s=0)
            committed = bytes(truth[: file.seek(0, 2)])
        else:
            position, length, value = cast("tuple[int, int, int]", step)
            file.seek(position)
            file.write(bytes([value]) * length)
            truth[position : position + length] = bytes([value]) * length
        file.seek(0)
        assert file.read(len(truth)) == truth
        assert path.read_bytes()[: len(committed)] == committed
    file.close()
    path.unlink()


def test_rows_written_in_place_survive_a_page_that_waits(tmp_path: Path) -> None:
    path = tmp_path / "file"
    file = JournaledFile(path)
    file.begin_journal(f"{path}.journal")
    file.write(bytes(PAGE))
    file.commit(bytes(16), 0, patience_s=0)

    file.seek(0)
    file.write(b"metadata")
    file.write_rows(100, b"rows", owned=True)
    assert path.read_bytes()[:8] == bytes(8)
    assert path.read_bytes()[100:104] == b"rows"
    file.commit(bytes(16), 0, patience_s=0)
    assert path.read_bytes()[:8] == b"metadata"
    assert path.read_bytes()[100:104] == b"rows"
    file.close()
