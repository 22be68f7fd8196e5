from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from parity.backends.isolation import Ending, Progress, run_isolated
from parity.errors import BackendError, CandidateCrashedError, InputError

MIB = 1 << 20


def gone(pid: int) -> bool:
    """Whether a process has gone (or is a zombie that nobody has waited for)."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_good_end_brings_the_value_and_the_progress(jobs: str) -> None:
    outcome = run_isolated(f"{jobs}:add", 2, 3)
    assert outcome.ok
    assert outcome.ending is Ending.OK
    assert outcome.value == 5
    assert outcome.progress == Progress(2, "sum")
    assert outcome.message == ""
    assert outcome.error is None
    outcome.raise_for_ending()


def test_the_child_has_our_folder_interpreter_and_search_path(
    jobs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, executable, path = run_isolated(f"{jobs}:environment").value
    assert folder == str(tmp_path)
    assert executable == sys.executable
    assert str(tmp_path) in path


def test_modules_of_the_current_folder_are_found_as_in_an_interactive_session(
    jobs: str, tmp_path: Path
) -> None:
    code = (
        f"from parity.backends import run_isolated; print(run_isolated('{jobs}:add', 2, 3).value)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "5\n"


def test_its_output_is_kept_apart_from_ours(jobs: str, capfd: pytest.CaptureFixture[str]) -> None:
    outcome = run_isolated(f"{jobs}:chatter")
    assert outcome.ok
    assert capfd.readouterr() == ("", "")
    assert outcome.output == "to output\nto error\n"


def test_a_segfault_is_an_outcome_that_names_the_last_tap_and_the_line(jobs: str) -> None:
    outcome = run_isolated(f"{jobs}:segfault")
    assert outcome.ending is Ending.CRASHED
    assert outcome.signal == "SIGSEGV"
    assert outcome.exit_code is None
    assert outcome.message == (
        "the candidate did not finish: its process died of SIGSEGV "
        "(it touched memory that is not its own), after 3 taps, the last of them decoder:output#2"
    )
    assert "in segfault" in outcome.output
    with pytest.raises(
        CandidateCrashedError, match=r"(?s)SIGSEGV.*look at its last words:.*in segfault"
    ):
        outcome.raise_for_ending()


def test_an_abort_is_an_outcome(jobs: str) -> None:
    outcome = run_isolated(f"{jobs}:abort")
    assert (outcome.ending, outcome.signal) == (Ending.CRASHED, "SIGABRT")
    assert "after 1 taps, the last of them encoder:output#0" in outcome.message


def test_an_early_exit_is_an_outcome(jobs: str) -> None:
    outcome = run_isolated(f"{jobs}:exits")
    assert (outcome.ending, outcome.exit_code, outcome.signal) == (Ending.EXITED, 3, "")
    assert outcome.message == (
        "the candidate did not finish: its process left with status 3 before it was done, "
        "before its first tap"
    )


def test_leaving_with_status_0_before_the_end_is_no_success(jobs: str) -> None:
    outcome = run_isolated(f"{jobs}:leaves_quietly")
    assert not outcome.ok
    assert (outcome.ending, outcome.exit_code) == (Ending.EXITED, 0)


def test_a_hang_is_ended_and_says_where_it_hung(jobs: str) -> None:
    outcome = run_isolated(f"{jobs}:hang", timeout_s=6)
    assert outcome.ending is Ending.TIMEOUT
    assert "no end after 6 s, so it was ended, after 1 taps" in outcome.message
    assert "in spin_forever" in outcome.output
    assert outcome.duration_s < 30


def test_a_hang_in_native_code_is_ended_too(jobs: str) -> None:
    outcome = run_isolated(f"{jobs}:sleep_in_native_code", timeout_s=6)
    assert outcome.ending is Ending.TIMEOUT
    assert "in sleep_in_native_code" in outcome.output


def test_an_exception_is_an_outcome_with_its_place(jobs: str) -> None:
    outcome = run_isolated(f"{jobs}:raises")
    assert outcome.ending is Ending.RAISED
    assert isinstance(outcome.error, BackendError)
    assert outcome.error.what == (
        "the candidate raised ValueError: kernel size 3 is odd, "
        "after 4 taps, the last of them mixer:output#0"
    )
    assert outcome.error.where is not None
    assert outcome.error.where.endswith(" in raises")
    assert "Traceback" in outcome.output
    assert str(outcome.error.hint).endswith("  | ValueError: kernel size 3 is odd")


def test_an_error_of_ours_arrives_as_it_was_raised(jobs: str) -> None:
    error = run_isolated(f"{jobs}:raises_ours").error
    assert isinstance(error, InputError)
    assert (error.what, error.where, error.hint) == ("no voice", "case.json", "name one")


def test_a_target_that_is_not_there_is_an_error_of_ours(jobs: str) -> None:
    error = run_isolated(f"{jobs}:ad").error
    assert isinstance(error, BackendError)
    assert error.hint == "did you mean 'add'?"


def test_memory_without_end_is_stopped_at_the_limit(jobs: str) -> None:
    outcome = run_isolated(f"{jobs}:allocate", memory_limit_bytes=256 * MIB)
    assert outcome.ending is Ending.MEMORY
    assert "it ran out of memory under the limit of 256 MiB, after 1 taps" in outcome.message


def test_a_native_allocation_failure_counts_as_memory(jobs: str) -> None:
    assert run_isolated(f"{jobs}:cpp_allocation").ending is Ending.MEMORY


def test_a_kill_from_outside_counts_as_memory(jobs: str) -> None:
    outcome = run_isolated(f"{jobs}:kill_itself")
    assert (outcome.ending, outcome.signal) == (Ending.MEMORY, "SIGKILL")
    assert "as the system does when memory runs out" in outcome.message


def test_a_flood_of_output_neither_blocks_nor_fills_memory(jobs: str) -> None:
    outcome = run_isolated(f"{jobs}:flood", timeout_s=30)
    assert outcome.ok
    assert len(outcome.output) <= 64 * 1024
    assert outcome.output.endswith("the end\n")


def test_what_it_started_goes_with_it(jobs: str, tmp_path: Path) -> None:
    assert run_isolated(f"{jobs}:leave_a_grandchild", str(tmp_path / "pid")).ok
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_forgotten_thread_does_not_keep_it(jobs: str) -> None:
    assert run_isolated(f"{jobs}:forgotten_thread", timeout_s=20).value == "done"


def test_it_dies_with_the_process_that_started_it(jobs: str, tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        from parity.backends.isolation import run_isolated
        run_isolated("{jobs}:wait_for_parent", {str(tmp_path / "pid")!r})
    """)
    path = os.pathsep.join([str(tmp_path), str(Path.cwd())])
    parent = subprocess.Popen([sys.executable, "-c", script], env={"PYTHONPATH": path})
    try:
        for _ in range(200):
            if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
                break
            time.sleep(0.05)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert gone(int((tmp_path / "pid").read_text()))


def test_progress_is_told_while_it_runs(jobs: str) -> None:
    seen: list[Progress] = []
    assert run_isolated(f"{jobs}:note_slowly", on_progress=seen.append).ok
    counts = [progress.count for progress in seen]
    assert counts == sorted(counts)
    assert len(set(counts) - {0}) >= 3


def test_an_argument_that_cannot_travel_is_refused(jobs: str) -> None:
    with pytest.raises(InputError, match="cannot be sent to another process"):
        run_isolated(f"{jobs}:add", lambda: 1, 2)


def test_a_big_argument_travels_whole(jobs: str) -> None:
    assert run_isolated(f"{jobs}:add", b"x" * (4 * MIB), b"y" * 0, timeout_s=30).error is not None
    assert run_isolated(f"{jobs}:add", "x" * (4 * MIB), "y").value == "x" * (4 * MIB) + "y"
