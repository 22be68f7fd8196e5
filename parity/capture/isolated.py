"""Captures one case of one backend into a file, in a process of its own or in this one."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from parity.backends import Backend, Outcome, Progress, ProgressPage, load, run_isolated
from parity.backends.child import place_of
from parity.backends.protocol import Array
from parity.capture.dependencies import loaded
from parity.capture.environment import environment
from parity.capture.sink import Facts, StoreSink
from parity.errors import BackendError, CaptureFileError, ParityError
from parity.store import CaptureMeta, CaptureWriter, mark_incomplete
from parity.tensors import NO_STEP, Case, NoiseDraw, Role, TapKey, TapPlan

__all__ = ["capture_here", "capture_isolated"]

# What a run may lose when it dies: nothing while flushing each record has cost less than this,
# and afterwards the records of the last moments.
_FLUSH_ALLOWANCE_S = 0.5
_FLUSH_SHARE = 0.05
_FLUSH_EVERY_S = 0.2
_FLUSH_PAUSES = 10  # how much longer than a flush the pause after it is
_PROGRESS_S = 0.1

Notice = Callable[[Progress], None]


def capture_isolated(
    backend: str,
    options: Mapping[str, object],
    case: Case,
    plan: TapPlan,
    path: str | os.PathLike[str],
    *,
    python_path: Sequence[str | Path] = (),
    timeout_s: float | None = None,
    memory_limit_bytes: int | None = None,
    on_progress: Notice | None = None,
) -> Outcome:
    """Capture `case` into the file `path` in a new process, and say how that ended.

    Whatever ends the process, the file keeps what was flushed up to then, marked incomplete: of a
    short run every record, of a long one all but those of the last moments.

    Args:
        backend: a registered name, or `module:attribute`.
        options: of the backend.
        case: what to run.
        plan: what to record.
        path: the file to write; one that exists is replaced.
        python_path: folders to look for a `module:attribute` in.
        timeout_s: wall time after which the run is ended; None for no limit.
        memory_limit_bytes: most private memory of the process; None for no limit.
        on_progress: called about ten times a second with the number of records and the last one.

    Returns:
        The outcome; its value is `{"records": number}` when it ended well.

    Raises:
        InputError: an option cannot be sent to another process.
    """
    folders = tuple(str(folder) for folder in python_path)
    before = _stamp(path)
    outcome = run_isolated(
        "parity.capture.isolated:_capture_in_child",
        _Work(backend, dict(options), folders, case, plan, os.fspath(path)),
        timeout_s=timeout_s,
        memory_limit_bytes=memory_limit_bytes,
        on_progress=on_progress,
    )
    # The process may die when the file is done: a library that crashes while it is closed.
    if outcome.error is not None and _stamp(path) not in (None, before):
        with suppress(CaptureFileError):
            mark_incomplete(path)
    return outcome


def capture_here(
    backend: Backend,
    case: Case,
    plan: TapPlan,
    path: str | os.PathLike[str],
    *,
    on_progress: Notice | None = None,
) -> int:
    """Capture `case` into the file `path` in this process.

    Returns:
        The number of records.

    Raises:
        ParityError: whatever made the run fail; the file is marked incomplete.
    """
    with _open(path, plan, case) as (_, sink):
        with _as_parity_error():
            backend.capture(case, plan, _Watched(sink, _now_and_then(on_progress)))
        _check_any(sink, backend.name)
    return sink.count


def _stamp(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What tells a file from the one that was there before; None where there is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    backend: str
    options: Mapping[str, object]
    python_path: tuple[str, ...]
    case: Case
    plan: TapPlan
    path: str


def _capture_in_child(page: ProgressPage, work: _Work) -> dict[str, int]:
    backend = load(work.backend, work.options, python_path=work.python_path)
    with _open(work.path, work.plan, work.case) as (writer, sink), _Keeper(sink, writer) as keeper:

        def note(progress: Progress) -> None:
            keeper.added()
            page.note(progress.count, progress.last)

        backend.capture(work.case, work.plan, _Watched(sink, note))
        _check_any(sink, work.backend)
    return {"records": sink.count}


class _Keeper:
    """Sees to it that what was recorded is in the file when the process dies the next moment."""

    def __init__(self, sink: StoreSink, writer: CaptureWriter) -> None:
        self._sink = sink
        self._writer = writer
        self._started = time.monotonic()
        self._spent = 0.0
        self._kept = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep_on, daemon=True)

    def added(self) -> None:
        """Flush now, unless that has cost too much already."""
        elapsed = time.monotonic() - self._started
        if self._spent <= _FLUSH_ALLOWANCE_S + _FLUSH_SHARE * elapsed:
            self._flush()

    def _keep_on(self) -> None:
        # A run that hangs, or computes for long, has all its records flushed meanwhile.
        pause = _FLUSH_EVERY_S
        while not self._done.wait(pause):
            began = time.monotonic()
            try:
                self._flush()
            except ParityError:
                return  # the writer says so again at the next record
            pause = max(_FLUSH_EVERY_S, _FLUSH_PAUSES * (time.monotonic() - began))

    def _flush(self) -> None:
        count, began = self._sink.count, time.monotonic()
        if count > self._kept:
            self._sink.flush()
            self._writer.flush()
            self._kept = count
            self._spent += time.monotonic() - began

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


@contextmanager
def _open(
    path: str | os.PathLike[str], plan: TapPlan, case: Case
) -> Iterator[tuple[CaptureWriter, StoreSink]]:
    surroundings = environment()
    with CaptureWriter(path, meta=CaptureMeta(started=_now())) as writer:
        sink = StoreSink(writer, plan)
        writer.set_environment(surroundings)
        writer.set_case(case)
        sink.describe(_facts(surroundings, case))
        try:
            yield writer, sink
        finally:
            # Also of a run that failed: its last tensors are the ones to look at.
            sink.flush()
        # Again: the backend has loaded its framework by now.
        writer.set_environment({**environment(), "dependencies": loaded()})
        sink.describe({"ended": _now()})


def _facts(surroundings: Facts, case: Case) -> Facts:
    facts = {name: value for name, value in surroundings.items() if name.startswith("package.")}
    about = {"case_name": case.name, "case_digest": case.digest()}
    return facts | about | {"hardware": surroundings["cpu"]}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class _Watched:
    """A sink that says after each record how far the run is."""

    def __init__(self, sink: StoreSink, notice: Notice) -> None:
        self._sink = sink
        self._notice = notice

    def describe(self, facts: Facts) -> None:
        self._sink.describe(facts)

    def noise(self, draw: NoiseDraw) -> None:
        self._sink.noise(draw)

    def record(
        self,
        path: str,
        array: Array,
        *,
        role: Role = Role.TAP,
        slot: str = "",
        phase: str = "",
        call: int | None = None,
        step: int = NO_STEP,
        source: str = "",
        producers: tuple[int, ...] = (),
        duration_s: float = math.nan,
    ) -> int | None:
        order = self._sink.record(
            path,
            array,
            role=role,
            slot=slot,
            phase=phase,
            call=call,
            step=step,
            source=source,
            producers=producers,
            duration_s=duration_s,
        )
        if order is not None:
            name = str(TapKey(path, role, slot, phase, call or 0))
            # The sink counts the calls, where the backend does not.
            self._notice(Progress(order + 1, name if call is not None else name.rpartition("#")[0]))
        return order


def _now_and_then(on_progress: Notice | None) -> Notice:
    last = -math.inf

    def notice(progress: Progress) -> None:
        nonlocal last
        if on_progress is not None and time.monotonic() - last >= _PROGRESS_S:
            last = time.monotonic()
            on_progress(progress)

    return notice


@contextmanager
def _as_parity_error() -> Iterator[None]:
    try:
        yield
    except ParityError:
        raise
    except Exception as error:
        raise BackendError(
            f"the candidate raised {type(error).__name__}: {error}",
            where=place_of(error) or None,
            hint="the traceback says more; `parity capture --isolate` prints it",
        ) from error


def _check_any(sink: StoreSink, backend: str) -> None:
    if not sink.count:
        raise BackendError(
            "the run recorded nothing",
            where=backend,
            hint="check the selection (include, roles, phases), and that the run meets any tap",
        )
