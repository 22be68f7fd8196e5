from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parity.errors import InputError
from parity.store import CaptureWriter, open_capture, port_summaries
from parity.tensors import Role, TapKey, TapRecord, TensorSpec, TensorStatistics

MakeRecord = Callable[..., TapRecord]


def test_a_tap_is_a_sequence_of_its_calls(small: Path) -> None:
    with open_capture(small) as capture:
        calls = capture["net.norm"].output
        assert len(calls) == 10
        assert calls[3].tolist() == [[3.0] * 3] * 2
        assert calls[-1][0, 0] == 9
        assert calls[2:5].shape == (3, 2, 3)
        assert calls[2:5][:, 0, 0].tolist() == [2, 3, 4]
        assert [call[0, 0] for call in calls] == list(range(10))
        assert [record.step for record in calls.records] == list(range(10))
        assert len(calls.step(4)) == 1
        assert len(calls.phase("generate")) == 10
        assert len(calls.phase("decode")) == 0
        with pytest.raises(IndexError, match=r"net\.norm:output has 10 calls, not 10"):
            calls[10]


def test_names_that_are_not_there_are_answered_with_those_that_are(small: Path) -> None:
    with open_capture(small) as capture:
        assert "net.norm" in capture
        assert "net.nrm" not in capture
        with pytest.raises(InputError, match=r"did you mean net\.norm") as caught:
            capture["net.nrm"]
        assert "no tap 'net.nrm' was recorded" in str(caught.value)
        with pytest.raises(InputError, match="no 'input' was recorded") as caught:
            _ = capture["net.norm"].input
        assert "recorded were output" in str(caught.value)
        with pytest.raises(InputError, match="no record"):
            capture.read(TapKey("net.norm", Role.OUTPUT, call=99))
        with pytest.raises(InputError, match="no record -1"):
            capture.read(-1)


def test_calls_of_different_shapes_do_not_stack(
    writer: CaptureWriter, make_record: MakeRecord
) -> None:
    for order in range(4):
        tensor = np.zeros(1 + order // 2)
        phase = ("prompt", "generate")[order // 2]
        writer.append(make_record(tensor, order, phase=phase), tensor)
    writer.close()
    calls = open_capture(writer.path)["net.norm"].output
    with pytest.raises(InputError, match="4 calls of 2 shapes and types do not stack"):
        calls[:]
    assert calls.phase("generate")[:].shape == (2, 2)
    assert calls[:2].shape == (2, 1)


def test_a_record_is_found_by_place_key_and_itself(small: Path) -> None:
    with open_capture(small) as capture:
        record = capture.records[7]
        for which in (7, np.int64(7), record, record.key):
            assert capture.read(which)[0, 0] == 7
        assert capture.paths == ("net.norm", "net.head")
        assert capture.phases == ("generate", "")
        assert repr(capture).endswith("run.h5: 11 records at 2 taps>")


def test_a_closed_capture_says_so(small: Path) -> None:
    with open_capture(small) as capture:
        kept = capture.view(3)
    capture.close()
    capture.release()
    assert kept[0, 0] == 3
    with pytest.raises(InputError, match="the capture is closed"):
        capture.view(3)
    with pytest.raises(InputError, match="the capture is closed"):
        _ = capture["net.norm"].output[0]
    assert len(capture.records) == 11


def test_the_table_has_one_row_a_record(small: Path) -> None:
    frame = open_capture(small).to_frame()
    assert list(frame["path"]) == ["net.norm"] * 10 + ["net.head"]
    assert list(frame["phase"]) == ["generate"] * 10 + [""]
    assert frame["shape"][10] == (5,)
    assert list(frame["call"][:10]) == list(range(10))
    assert frame["mean"].isna().all()


def test_summaries_bring_calls_together(
    writer: CaptureWriter, make_record: MakeRecord, statistics: TensorStatistics
) -> None:
    for order in range(6):
        tensor = np.zeros(3 + order // 4, np.float32)
        phase = ("prompt", "generate")[order // 2 % 2]
        writer.append(make_record(tensor, order, phase=phase, statistics=statistics), tensor)
    writer.close()
    (summary,) = port_summaries(open_capture(writer.path))
    assert summary.calls == {"prompt": 4, "generate": 2}
    assert summary.specs == (TensorSpec("float32", (3,)), TensorSpec("float32", (4,)))
    assert (summary.min, summary.max, summary.nonfinite) == (-1.0, 2.0, 18)
    assert summary.kept_bytes == 4 * (4 * 3 + 2 * 4)


def test_views_cost_no_memory_and_stay_valid_when_released(
    writer: CaptureWriter, make_record: MakeRecord
) -> None:
    for order in range(20):
        tensor = np.full(10**6, order, np.float64)
        writer.append(make_record(tensor, order, digest=""), tensor)
    writer.close()
    script = f"""
import resource
from parity.store import open_capture
capture = open_capture({str(writer.path)!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
first = capture.view(0)
total = sum(float(capture.view(number).sum()) for number in range(20))
assert total == 190e6, total
assert first[-1] == 0 and capture.view(7)[5] == 7
capture.close()
assert first.sum() == 0
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert writer.path.stat().st_size > 160e6
    assert int(done.stdout) < 145


def test_opening_a_capture_loads_no_heavy_package() -> None:
    script = """
import sys
import parity.store
print(sorted({"torch", "pandas", "matplotlib", "numba", "coremltools"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
