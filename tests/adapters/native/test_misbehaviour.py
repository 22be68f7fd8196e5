"""Candidates that break: each is an error that says what happened, and nothing is lost."""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
import time
import weakref
from collections.abc import Iterator
from datetime import date

import numpy as np
import pytest

from parity.backends import MemorySink
from parity.cli.main import main
from parity.errors import BackendError, CandidateCrashedError, InputError, ParityError
from parity.store import open_capture
from parity.tensors import Case, TapPlan
from parity_native.backend import NativeBackend
from parity_native.views import Lent

DEADLY = {
    "segfault": ({}, r"died of SIGSEGV.*after 1 taps, the last of them first:output#0"),
    "abort": ({}, r"died of SIGABRT.*after 1 taps, the last of them first:output#0"),
    "exit": ({}, r"left with status 3.*after 1 taps"),
    "loop": ({"timeout_s": 8}, r"no end after 8 s.*after 1 taps, the last of them first"),
    "allocate": ({"memory_limit_mb": 600}, r"(ran out of memory|SIGABRT|SIGKILL).*after 1 taps"),
    "dangling_name": ({}, r"died of SIGSEGV.*after 1 taps"),
    "dangling_data": ({}, r"died of SIGSEGV.*after 1 taps"),
    "dangling_large": ({}, r"died of SIGSEGV.*after 1 taps"),
    "close": ({}, r"the connection .* broke after 1 taps, the last of them first:output#0"),
    "interrupt": ({}, r"died of SIGINT.*after 1 taps"),
}
BROKEN = {
    "error": "the candidate failed: the weights are gone, after 1 taps, the last of them first",
    "panic": "the candidate panicked: index out of bounds, after 1 taps",
    "status": "returned the status 77",
    "null_tap": "called the tap with NULL",
    "negative": r"second: .* the shape \[-2, 3\] has an extent below zero, after 1 taps",
    "huge": r"second: .* makes more than 17179869184 bytes",
    "far": "second: .* strides reach over more than",
    "empty": r"second: .* \[4611686018427387904, 0\] is larger than any memory",
    "truths": "second: .* a bool that is neither 0 nor 1",
    "rank": "second: .* 4000000000 axes; at most 32",
    "null_shape": r"second: .* no shape \(NULL\) for 2 axes",
    "null_data": r"second: .* no data \(NULL\)",
    "dtype": "second: .* unknown element type 99",
    "role": "second: .* unknown role 99",
    "kind": "second: .* unknown kind 99",
    "step": "second: .* used the step -7; steps count from 0",
    "null_name": "without a name",
    "not_utf8": "a name is not UTF-8",
}


def recorded(sink: MemorySink) -> list[str]:
    return [str(record.key) for record in sink.records]


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """Who runs the tests in the background has them, and their children, ignore interruptions."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("what", DEADLY)
def test_a_candidate_that_dies_is_reported(what, misbehaving):
    options, message = DEADLY[what]
    sink = MemorySink()
    backend = NativeBackend(library=misbehaving, do=what, **options)
    with pytest.raises(CandidateCrashedError, match=message):
        backend.capture(Case("any"), TapPlan(), sink)
    assert recorded(sink) == ["first:output#0"]
    assert sink["first"].tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("what", BROKEN)
def test_a_candidate_that_breaks_the_contract_is_reported(what, misbehaving):
    sink = MemorySink()
    backend = NativeBackend(library=misbehaving, isolate=False, do=what)
    with pytest.raises(BackendError, match=BROKEN[what]):
        backend.capture(Case("any"), TapPlan(), sink)
    assert recorded(sink) == ["first:output#0"]


def test_the_same_report_comes_out_of_another_process(misbehaving):
    sink = MemorySink()
    with pytest.raises(BackendError, match=BROKEN["null_data"]):
        NativeBackend(library=misbehaving, do="null_data").capture(Case("any"), TapPlan(), sink)
    assert recorded(sink) == ["first:output#0"]


@pytest.mark.parametrize("isolate", [True, False])
def test_a_tap_from_another_thread_is_taken(misbehaving, isolate):
    sink = MemorySink()
    backend = NativeBackend(library=misbehaving, isolate=isolate, do="thread")
    backend.capture(Case("any"), TapPlan(), sink)
    assert recorded(sink) == ["first:output#0", "from_thread:tap#0"]


def test_a_tap_that_comes_after_the_run_is_not_taken(misbehaving):
    sink = MemorySink()
    backend = NativeBackend(library=misbehaving, isolate=False, do="late")
    backend.capture(Case("any"), TapPlan(), sink)
    backend.capture(Case("again"), TapPlan(), MemorySink())
    time.sleep(0.6)
    assert recorded(sink) == ["first:output#0"]


def test_a_tap_that_comes_after_a_failed_run_is_not_taken(misbehaving):
    sink = MemorySink()
    backend = NativeBackend(library=misbehaving, isolate=False, do="late_error")
    with pytest.raises(BackendError, match="the weights are gone"):
        backend.capture(Case("any"), TapPlan(), sink)
    time.sleep(0.6)
    assert recorded(sink) == ["first:output#0"]


def test_an_interruption_on_the_way_into_the_tap_is_not_lost(misbehaving):
    sink = MemorySink()
    hook = sys.unraisablehook
    backend = NativeBackend(library=misbehaving, isolate=False, do="interrupt")
    with pytest.raises(KeyboardInterrupt):
        backend.capture(Case("any"), TapPlan(), sink)
    assert recorded(sink) == ["first:output#0"]
    assert sys.unraisablehook is hook


def test_a_copy_of_the_process_records_nothing(misbehaving):
    sink = MemorySink()
    NativeBackend(library=misbehaving, do="fork").capture(Case("any"), TapPlan(), sink)
    assert recorded(sink) == ["first:output#0", "second:output#0"]


def test_a_step_along_an_axis_of_one_may_be_any_number(misbehaving):
    sink = MemorySink()
    backend = NativeBackend(library=misbehaving, isolate=False, do="one_step")
    backend.capture(Case("any"), TapPlan(), sink)
    assert sink["second"].tolist() == [[1, 2, 3]]


def test_what_a_run_recorded_is_let_go(misbehaving):
    sink = MemorySink()
    backend = NativeBackend(library=misbehaving, isolate=False)
    backend.capture(Case("any"), TapPlan(), sink)
    seen = weakref.ref(sink)
    del sink
    gc.collect()
    assert seen() is None


@pytest.mark.parametrize("isolate", [True, False])
def test_a_candidate_is_closed(misbehaving, isolate, tmp_path, monkeypatch):
    monkeypatch.setenv("MISBEHAVING_CLOSED", str(tmp_path / "closed"))
    backend = NativeBackend(library=misbehaving, isolate=isolate)
    backend.capture(Case("any"), TapPlan(), MemorySink())
    del backend
    gc.collect()
    assert (tmp_path / "closed").exists()


def test_a_crash_while_it_is_closed_loses_nothing(misbehaving):
    sink = MemorySink()
    with pytest.raises(CandidateCrashedError, match=r"SIGABRT.*after 2 taps"):
        NativeBackend(library=misbehaving, do="crash_in_close").capture(
            Case("any"), TapPlan(), sink
        )
    assert recorded(sink) == ["first:output#0", "second:output#0"]


def test_what_is_no_json_cannot_be_handed_over(misbehaving):
    with pytest.raises(InputError, match=r"the options: cannot be handed .* as JSON: .*date"):
        NativeBackend(library=misbehaving, isolate=False, day=date(2026, 1, 1))
    backend = NativeBackend(library=misbehaving, isolate=False)
    with pytest.raises(InputError, match="the case any: cannot be handed"):
        backend.capture(Case("any", inputs={"x": float("nan")}), TapPlan(), MemorySink())


def test_what_a_candidate_is_lent_lies_by_its_size():
    crooked = np.frombuffer(b"123456789", np.uint32, count=2, offset=1)
    lent = Lent("x", crooked)
    assert lent.tensor.data % 4 == 0
    assert ctypes.string_at(lent.tensor.data, 8) == b"23456789"


@pytest.mark.parametrize("isolate", [True, False])
def test_facts_that_no_capture_holds_are_left_out(misbehaving, isolate):
    sink = MemorySink()
    backend = NativeBackend(library=misbehaving, isolate=isolate, do="odd_facts")
    backend.capture(Case("any"), TapPlan(), sink)
    assert sink.facts == {"implementation": "bad", "framework": "c", "year": 2024}


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("not_open", "the weights are gone"),
        ("no_json", "gave no JSON object"),
        ("says_list", r"`object`, got `array` - at `\$.capabilities`"),
        ("says_number", r"\$.name"),
        ("says_nothing", "missing, empty or no text"),
    ],
)
def test_a_candidate_that_does_not_open_is_reported(what, message, misbehaving):
    with pytest.raises(BackendError, match=message):
        NativeBackend(library=misbehaving, isolate=False, do=what)


def test_another_version_of_the_abi_is_refused(compile_c, request):
    library = compile_c(request.path.with_name("misbehaving.c"), "-DVERSION=2u")
    with pytest.raises(BackendError, match="version 2 of the ABI; this parity knows version 1"):
        NativeBackend(library=library, isolate=False)


def test_what_is_no_library_is_refused(tmp_path, compile_c):
    with pytest.raises(InputError, match="no such library"):
        NativeBackend(library=tmp_path / "none.so")
    text, empty = tmp_path / "text.so", tmp_path / "empty.c"
    text.write_text("hello")
    with pytest.raises(BackendError, match="cannot be loaded"):
        NativeBackend(library=text, isolate=False)
    empty.write_text("int nothing;")
    with pytest.raises(BackendError, match="exports no function parity_abi_version"):
        NativeBackend(library=compile_c(empty), isolate=False)


@pytest.mark.parametrize("isolate", ["true", "false"])
def test_a_crash_in_the_command_line_leaves_a_capture_and_status_2(
    misbehaving, tmp_path, isolate, capsys
):
    path = tmp_path / "crashed.h5"
    with pytest.raises(SystemExit, match="2"):
        main(
            ["capture", "--backend", "native", "--option", f"library={misbehaving}",
             "--option", "do=segfault", "--option", f"isolate={isolate}", "-o", str(path)]
        )  # fmt: skip
    err = capsys.readouterr().err
    assert "SIGSEGV" in err
    assert err.count("Fatal Python error") == 1  # its last words, whichever process heard them
    with open_capture(path) as capture:
        assert not capture.complete
        assert capture["first"].output[0].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_the_command_line_says_where_the_contract_stands(misbehaving, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(
            ["capture", "--backend", "native", "--option", f"library={misbehaving}",
             "--option", "do=null_data", "-o", str(tmp_path / "broken.h5")]
        )  # fmt: skip
    assert "broken.h5; see parity_tensor in" in capsys.readouterr().err


def test_options_that_cannot_be_used(misbehaving):
    for options in ({"isolate": "perhaps"}, {"timeout_s": "soon"}):
        with pytest.raises(ParityError, match=r"neither true|not a number"):
            NativeBackend(library=misbehaving, **options)
