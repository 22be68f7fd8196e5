"""Runs a candidate in a process of its own; its tensors come back through shared memory."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from parity.backends import CaptureSink, Outcome, Progress, ProgressPage, run_isolated
from parity.errors import CandidateCrashedError
from parity.tensors import Case, NoiseDraw, Role, TapKey, TapPlan
from parity_native.channel import RING_BYTES, ChannelClosedError, Receiver, RemoteSink
from parity_native.description import Description, as_description
from parity_native.library import Candidate
from parity_native.views import Array

__all__ = ["Limits", "Work", "describe_apart", "run_apart"]

_MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108  a folder of our own is made in it
_MEMORY_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """What a candidate's process may take.

    Attributes:
        timeout_s: wall time, or None.
        memory_limit_bytes: private memory, or None.
        max_bytes: largest tensor to believe in.
        ring_bytes: shared memory for tensors on their way.
    """

    timeout_s: float | None = None
    memory_limit_bytes: int | None = None
    max_bytes: int = 16 << 30
    ring_bytes: int = RING_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """A candidate and what it is to run."""

    library: str
    options: Mapping[str, object]
    case: Case
    plan: TapPlan
    replacements: Mapping[TapKey, Array]


def describe_apart(library: str, options: Mapping[str, object], limits: Limits) -> Description:
    """What the candidate says about itself."""
    outcome = run_isolated(
        "parity_native.apart:_describe",
        library,
        dict(options),
        timeout_s=limits.timeout_s,
        memory_limit_bytes=limits.memory_limit_bytes,
    )
    outcome.raise_for_ending()
    return as_description(outcome.value)


def run_apart(work: Work, sink: CaptureSink, limits: Limits) -> None:
    """Run the work, and hand what comes back to `sink`, in this thread.

    Whatever ends the candidate's process, everything that it handed over before is recorded.

    Raises:
        ParityError: as the candidate's run raised it, or what ended its process.
    """
    with _folder() as folder:
        keeper = _Keeper(work, folder, limits)
        receiver = Receiver(folder, limits.ring_bytes, keeper.is_alive)
        keeper.start()
        try:
            _hand_on(receiver, keeper, sink)
        except BaseException:
            # The candidate need not run to its end when nobody takes what it says.
            keeper.abandoned = True
            raise
        finally:
            receiver.close()
            keeper.join()
        outcome = keeper.result()
        outcome.raise_for_ending()
        if not receiver.ended:
            raise _cut_off(outcome.progress)


def _cut_off(progress: Progress) -> CandidateCrashedError:
    seen = f"after {progress.count} taps, the last of them {progress.last}"
    return CandidateCrashedError(
        f"the connection to the candidate's process broke {seen if progress.count else 'at once'}",
        hint="a candidate must leave alone the files that it did not open: look for close and dup2",
    )


def _hand_on(receiver: Receiver, keeper: _Keeper, sink: CaptureSink) -> None:
    while not receiver.accept():
        if not keeper.is_alive():
            return
    for message, array in receiver.messages():
        if message.kind == "facts":
            sink.describe(message.facts)
        elif message.kind == "noise" and array is not None:
            sink.noise(NoiseDraw(array.copy(), message.path, message.source, message.phase))
        elif array is not None:
            sink.record(
                message.path,
                array,
                role=Role(message.role),
                slot=message.slot,
                phase=message.phase,
                call=message.call,
                step=message.step,
                source=message.source,
            )


class _Keeper(threading.Thread):
    """Waits for the candidate's process, while the thread that made it takes its records."""

    def __init__(self, work: Work, folder: Path, limits: Limits) -> None:
        super().__init__(daemon=True)
        self._arguments = (work, str(folder), limits.max_bytes)
        self._limits = limits
        self._outcome: Outcome | BaseException | None = None
        self.abandoned = False

    def run(self) -> None:
        """Run it to its end, whatever that is."""
        try:
            self._outcome = run_isolated(
                "parity_native.apart:_run",
                *self._arguments,
                timeout_s=self._limits.timeout_s,
                memory_limit_bytes=self._limits.memory_limit_bytes,
                on_progress=self._watch,
            )
        except BaseException as error:
            self._outcome = error

    def result(self) -> Outcome:
        """How it ended, once the thread has."""
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        assert self._outcome is not None  # noqa: S101  `run` leaves one or the other
        return self._outcome

    def _watch(self, _: Progress) -> None:
        if self.abandoned:
            raise _AbandonedError


class _AbandonedError(Exception):
    """Ends the wait for a process, and with it the process."""


@contextmanager
def _folder() -> Iterator[Path]:
    # In memory where the system has a folder for that, else wherever temporary files lie. That of
    # a container has 64 MB by default, which is too little.
    roomy = _MEMORY_FOLDER.is_dir() and shutil.disk_usage(_MEMORY_FOLDER).free >= _MEMORY_BYTES
    place = _MEMORY_FOLDER if roomy else None
    with tempfile.TemporaryDirectory(prefix="parity-", dir=place) as folder:
        yield Path(folder)


def _describe(_: ProgressPage, library: str, options: Mapping[str, object]) -> Any:
    """In the candidate's process: open it and ask."""
    return msgspec.to_builtins(Candidate(Path(library), options).description)


def _run(page: ProgressPage, work: Work, folder: str, max_bytes: int) -> None:
    """In the candidate's process: open it, run it, and send what it names."""
    sink = RemoteSink(Path(folder), page.note)
    candidate = Candidate(Path(work.library), work.options)
    sink.describe(candidate.description.capture_facts())
    with contextlib.suppress(ChannelClosedError):
        candidate.run(work.case, work.plan, sink, work.replacements, max_bytes)
        sink.close()
