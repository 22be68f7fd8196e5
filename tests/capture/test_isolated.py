"""Candidates that die in every way there is: the outcome is told, what they recorded is kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from parity.backends import Ending, Outcome, Progress, load
from parity.capture.isolated import capture_here, capture_isolated
from parity.errors import BackendError, CandidateCrashedError, CaptureFileError, InputError
from parity.store import open_capture
from parity.tensors import Case, NoiseDraw, Role, TapPlan

MIB = 1 << 20

CANDIDATE = """
import ctypes
import os
import time

import numpy as np

from parity.backends import Capabilities
from parity.errors import InputError
from parity.tensors import NoiseDraw, Role


class Candidate:
    name = "candidate"

    def __init__(self, ending="none", layers=4, pause_s=0.0):
        self.ending = ending
        self.layers = layers
        self.pause_s = pause_s

    def capabilities(self):
        return Capabilities()

    def capture(self, case, plan, sink):
        sink.describe({"framework": "none", "implementation": "candidate"})
        sink.noise(NoiseDraw(np.ones(2, np.float32), "normal"))
        for layer in range(self.layers):
            if self.ending == "silent":
                break
            call, path = divmod(layer, 50)
            sink.record(f"layer.{path}", np.full(3, layer, np.float32), role=Role.OUTPUT,
                        phase="run", call=call)
            time.sleep(self.pause_s)
        getattr(self, self.ending)()

    def none(self):
        pass

    silent = late = none

    def __del__(self):
        if self.ending == "late":
            os.abort()

    def segfault(self):
        ctypes.string_at(0)

    def abort(self):
        os.abort()

    def exits(self):
        os._exit(3)

    def hang(self):
        while True:
            pass

    def raises(self):
        raise ValueError("kernel size 3 is odd")

    def refuses(self):
        raise InputError("no voice", hint="name one")

    def allocate(self):
        kept = []
        while True:
            kept.append(np.ones(1 << 20))
"""


@pytest.fixture
def candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "isolated_candidate.py").write_text(CANDIDATE)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("isolated_candidate", None)
    return "isolated_candidate:Candidate"


@pytest.fixture
def ended(candidate: str, tmp_path: Path) -> Callable[..., Outcome]:
    """Captures a candidate that ends in the given way into `run.h5`."""

    def run(ending: str, **limits: float) -> Outcome:
        options = {"ending": ending}
        path = tmp_path / "run.h5"
        return capture_isolated(candidate, options, Case("short"), TapPlan(), path, **limits)  # type: ignore[arg-type]

    return run


def check_kept(path: Path, *, complete: bool = False) -> None:
    with open_capture(path) as capture:
        assert capture.complete == complete
        assert [record.key.path for record in capture.records] == [f"layer.{i}" for i in range(4)]
        assert [capture.read(record)[0] for record in capture.records] == [0, 1, 2, 3]
        assert len(capture.noise) == 1
        assert capture.meta.implementation == "candidate"
        assert capture.meta.case_name == "short"


def test_a_good_end(ended: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = ended("none")
    assert outcome.ok
    assert outcome.value == {"records": 4}
    assert outcome.progress == Progress(4, "layer.3:output@run#0")
    check_kept(tmp_path / "run.h5", complete=True)


@pytest.mark.parametrize(
    ("how", "ending", "said"),
    [
        ("segfault", Ending.CRASHED, "its process died of SIGSEGV"),
        ("abort", Ending.CRASHED, "its process died of SIGABRT"),
        ("exits", Ending.EXITED, "its process left with status 3 before it was done"),
        ("hang", Ending.TIMEOUT, "no end after 3 s, so it was ended"),
        ("allocate", Ending.MEMORY, "it ran out of memory under the limit of 512 MiB"),
    ],
)
def test_a_death_names_the_last_tap_and_keeps_all_records(
    ended: Callable[..., Outcome], tmp_path: Path, how: str, ending: Ending, said: str
) -> None:
    outcome = ended(how, timeout_s=3 if how == "hang" else 60, memory_limit_bytes=512 * MIB)
    assert outcome.ending is ending
    assert said in outcome.message
    assert outcome.message.endswith("after 4 taps, the last of them layer.3:output@run#0")
    with pytest.raises(CandidateCrashedError, match="did not finish") as caught:
        outcome.raise_for_ending()
    assert caught.value.exit_status == 2
    check_kept(tmp_path / "run.h5")


def test_an_exception_names_its_place_and_keeps_all_records(
    ended: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = ended("raises")
    assert outcome.ending is Ending.RAISED
    assert outcome.error is not None
    assert "raised ValueError: kernel size 3 is odd" in outcome.error.what
    assert str(outcome.error.where).endswith(" in raises")
    check_kept(tmp_path / "run.h5")


def test_an_error_of_ours_arrives_as_it_is(ended: Callable[..., Outcome]) -> None:
    error = ended("refuses").error
    assert isinstance(error, InputError)
    assert (error.what, error.hint) == ("no voice", "name one")


def test_a_run_that_records_nothing_is_an_error(ended: Callable[..., Outcome]) -> None:
    outcome = ended("silent")
    assert not outcome.ok
    assert outcome.message == "the run recorded nothing"


def test_a_backend_that_cannot_be_loaded_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    outcome = capture_isolated("tourch", {}, Case("a"), TapPlan(), tmp_path / "run.h5")
    assert isinstance(outcome.error, BackendError)
    assert "no backend is named 'tourch'" in outcome.message
    assert not (tmp_path / "run.h5").exists()


def test_a_run_that_never_began_leaves_an_earlier_capture_as_it_was(
    ended: Callable[..., Outcome], tmp_path: Path
) -> None:
    ended("none")
    assert not capture_isolated("tourch", {}, Case("a"), TapPlan(), tmp_path / "run.h5").ok
    check_kept(tmp_path / "run.h5", complete=True)


def test_a_death_after_the_file_is_finished_takes_its_end_back(
    ended: Callable[..., Outcome], tmp_path: Path
) -> None:
    outcome = ended("late")
    assert outcome.ending is Ending.CRASHED
    check_kept(tmp_path / "run.h5")


def test_a_file_that_cannot_be_written_is_an_error(candidate: str, tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "run.h5"
    outcome = capture_isolated(candidate, {}, Case("a"), TapPlan(), path)
    assert isinstance(outcome.error, CaptureFileError)


def test_plan_case_and_options_reach_the_candidate(candidate: str, tmp_path: Path) -> None:
    case = Case(
        "named", inputs={"n": 1}, arrays={"x": np.arange(3)}, seed=4,
        noise=(NoiseDraw(np.ones(2), "normal"),),
    )  # fmt: skip
    plan = TapPlan(include=("layer.[12]",), roles=frozenset({Role.OUTPUT}))
    path = tmp_path / "run.h5"
    assert capture_isolated(candidate, {"layers": 2}, case, plan, path).value == {"records": 1}
    with open_capture(path) as capture:
        assert [record.key.path for record in capture.records] == ["layer.1"]
        assert capture.case is not None
        assert capture.case.arrays["x"].tolist() == [0, 1, 2]
        assert capture.meta.case_digest == case.digest()


def test_progress_is_told_while_it_records(candidate: str, tmp_path: Path) -> None:
    seen: list[Progress] = []
    options = {"layers": 6, "pause_s": 0.15}
    path = tmp_path / "run.h5"
    capture_isolated(candidate, options, Case("a"), TapPlan(), path, on_progress=seen.append)
    assert len({progress.count for progress in seen}) > 3


def test_many_small_records_cost_little_more_than_in_this_process(
    candidate: str, tmp_path: Path
) -> None:
    # Flushing each record would take far longer than its allowance of half a second.
    options = {"layers": 5_000}
    outcome = capture_isolated(candidate, options, Case("a"), TapPlan(), tmp_path / "run.h5")
    assert outcome.value == {"records": 5_000}
    began = time.monotonic()
    capture_here(load(candidate, options), Case("a"), TapPlan(), tmp_path / "here.h5")
    assert outcome.duration_s < 10 + 5 * (time.monotonic() - began)


def test_here_records_into_the_same_kind_of_file(candidate: str, tmp_path: Path) -> None:
    seen: list[Progress] = []
    backend = load(candidate)
    path = tmp_path / "run.h5"
    assert capture_here(backend, Case("short"), TapPlan(), path, on_progress=seen.append) == 4
    assert seen[0] == Progress(1, "layer.0:output@run#0")
    check_kept(path, complete=True)


def test_here_an_exception_becomes_an_error_of_ours_with_its_place(
    candidate: str, tmp_path: Path
) -> None:
    backend = load(candidate, {"ending": "raises"})
    path = tmp_path / "run.h5"
    with pytest.raises(BackendError, match=r"in raises: the candidate raised ValueError: kernel"):
        capture_here(backend, Case("short"), TapPlan(), path)
    check_kept(path)
    with pytest.raises(InputError, match="no voice"):
        capture_here(load(candidate, {"ending": "refuses"}), Case("a"), TapPlan(), path)


def test_here_a_run_that_records_nothing_is_an_error(candidate: str, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="candidate: the run recorded nothing"):
        capture_here(
            load(candidate, {"ending": "silent"}), Case("a"), TapPlan(), tmp_path / "run.h5"
        )
