from __future__ import annotations

import mmap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from parity.backends import Backend, CaptureSink, MemorySink, Progress, ProgressPage
from parity.tensors import NoiseDraw, Role, TapPlan


def test_keeps_copies_with_their_keys_in_order() -> None:
    sink = MemorySink()
    array = np.zeros(3, np.float32)
    assert sink.record("a", array, role=Role.OUTPUT, phase="run", step=7) == 0
    array += 1
    assert sink.record("a", array, role=Role.OUTPUT, phase="run") == 1
    assert sink.record("a", array, role=Role.INPUT) == 2
    assert [str(record.key) for record in sink.records] == [
        "a:output@run#0",
        "a:output@run#1",
        "a:input#0",
    ]
    assert sink.records[0].array.tolist() == [0, 0, 0]
    assert sink.records[0].step == 7
    assert str(sink.records[1].spec) == "float32[3]"
    assert sink["a"].tolist() == [1, 1, 1]
    with pytest.raises(KeyError, match="b"):
        sink["b"]


def test_counts_go_on_from_a_call_that_was_given() -> None:
    sink = MemorySink()
    sink.record("a", np.ones(1), call=5)
    sink.record("a", np.ones(1))
    assert [record.key.call for record in sink.records] == [5, 6]


def test_leaves_out_what_the_plan_does_not_want_and_counts_it() -> None:
    sink = MemorySink(TapPlan(calls=(1, 2)))
    assert sink.record("a", np.ones(1)) is None
    assert sink.record("a", np.ones(1)) == 0
    assert [record.key.call for record in sink.records] == [1]
    assert [key.call for key in sink.offered] == [0, 1]


def test_keeps_facts_and_draws() -> None:
    sink = MemorySink()
    sink.describe({"framework": "none"})
    sink.describe({"threads": 1})
    draw = NoiseDraw(np.ones(2), "normal")
    sink.noise(draw)
    assert sink.facts == {"framework": "none", "threads": 1}
    assert sink.draws == [draw]


def test_is_a_sink_to_the_type_checker() -> None:
    sink: CaptureSink = MemorySink()
    assert not isinstance(sink, Backend)


def test_a_page_is_read_as_it_was_last_written(tmp_path: Path) -> None:
    page = ProgressPage(tmp_path / "page")
    other = ProgressPage(tmp_path / "page")
    assert other.read() == Progress(0, "")
    page.note(1, "encoder")
    page.note(2, "é" * 4000)
    assert other.read().count == 2
    assert other.read().last.startswith("ééé")
    page.note(3, "x")
    assert other.read() == Progress(3, "x")


def test_a_page_is_never_read_half_written(tmp_path: Path) -> None:
    page, other = ProgressPage(tmp_path / "page"), ProgressPage(tmp_path / "page")
    done = threading.Event()

    def write() -> None:
        number = 0
        while not done.is_set():
            number += 1
            page.note(number, str(number) * 50)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = []
        for _ in range(200):
            seen.append(other.read())
            time.sleep(0.0005)  # lets the writer on
    finally:
        done.set()
        writer.join()
    assert all(note.last == str(note.count) * 50 for note in seen if note.count)
    assert len({note.count for note in seen}) > 1


def test_a_page_whose_writer_died_while_writing_is_read_all_the_same(tmp_path: Path) -> None:
    page = ProgressPage(tmp_path / "page")
    page.note(4, "mixer")
    with (tmp_path / "page").open("r+b") as file, mmap.mmap(file.fileno(), 0) as raw:
        raw[0] += 1  # an odd version: being written
    assert page.read() == Progress(4, "mixer")
