"""How a run in a process of its own ended, in words that say what to do."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from parity import errors
from parity.backends.progress import Progress
from parity.errors import BackendError, CandidateCrashedError, ParityError

__all__ = ["Ending", "Outcome"]

# How allocators say that memory ran out: Python, torch, C++, Rust, the C library.
_OUT_OF_MEMORY = re.compile(
    r"MemoryError|bad_alloc|can't allocate memory|out of memory|Cannot allocate memory"
    r"|memory allocation of \d+ bytes failed",
    re.IGNORECASE,
)
_OUTPUT_LINES = 20


class Ending(StrEnum):
    """How a process ended."""

    OK = "ok"
    RAISED = "raised"
    CRASHED = "crashed"
    EXITED = "exited"
    TIMEOUT = "timeout"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run in a process of its own ended.

    Attributes:
        ending: in one word.
        message: in one sentence; empty when it ended well.
        progress: how far it came: records made, and the last one's name.
        duration_s: wall time.
        value: what the target returned, when it ended well.
        error: the error that it raised, or that describes its death; None when it ended well.
        signal: the signal that ended it (`SIGSEGV`), or empty.
        exit_code: its exit status, or None where a signal ended it.
        output: the end of what it wrote to its standard output and error, stack traces included.
    """

    ending: Ending
    message: str
    progress: Progress
    duration_s: float
    value: Any = None
    error: ParityError | None = None
    signal: str = ""
    exit_code: int | None = None
    output: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ended well."""
        return self.ending is Ending.OK

    def raise_for_ending(self) -> None:
        """Raise the error, if there is one."""
        if self.error is not None:
            raise self.error


def classify(
    *,
    returncode: int,
    timed_out_s: float | None,
    memory_limit_bytes: int | None,
    result: Mapping[str, Any] | None,
    progress: Progress,
    duration_s: float,
    output: str,
) -> Outcome:
    """The outcome that a dead process's traces add up to.

    Args:
        returncode: its exit status, or minus the signal that ended it.
        timed_out_s: the limit it was ended for, or None.
        memory_limit_bytes: the limit it ran under, or None.
        result: what it left behind when it came to its end.
        progress: the last note on its page.
        duration_s: how long it ran.
        output: the end of its output.
    """
    name = _signal_name(returncode)
    error: ParityError | None
    # First: asking a sleeping process for its stack may wake it, and then it is late all the same.
    if timed_out_s is not None:
        ending = Ending.TIMEOUT
        error = _crashed(f"no end after {timed_out_s:g} s, so it was ended", progress, output)
    elif result is not None and "value" in result:
        ending, error = Ending.OK, None
    elif result is not None and "parity" in result:
        kind, what, where, hint = result["parity"]
        ending, error = Ending.RAISED, _rebuilt(kind)(what, where=where, hint=hint)
    elif _ran_out_of_memory(name, result, output):
        ending, error = Ending.MEMORY, _memory_error(name, memory_limit_bytes, progress, output)
    elif result is not None:
        ending, error = Ending.RAISED, _raised(result["raised"], progress, output)
    elif name:
        ending = Ending.CRASHED
        error = _crashed(f"its process died of {name}{_MEANS.get(name, '')}", progress, output)
    else:
        ending = Ending.EXITED
        error = _crashed(
            f"its process left with status {returncode} before it was done", progress, output
        )
    return Outcome(
        ending=ending,
        message=error.what if error else "",
        progress=progress,
        duration_s=duration_s,
        value=result.get("value") if result else None,
        error=error,
        signal=name,
        exit_code=None if name else returncode,
        output=output,
    )


_MEANS = {
    "SIGSEGV": " (it touched memory that is not its own)",
    "SIGBUS": " (it touched memory that is not there)",
    "SIGABRT": " (it gave up: an assertion, a panic, or a failed check)",
    "SIGILL": " (an instruction that this processor does not have, or a trap)",
    "SIGFPE": " (an integer division by zero, mostly)",
    "SIGTERM": " (somebody ended it)",
}


def _signal_name(returncode: int) -> str:
    if returncode >= 0:
        return ""
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


def _rebuilt(kind: str) -> type[ParityError]:
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, ParityError):
        return found
    return BackendError


def _ran_out_of_memory(name: str, result: Mapping[str, Any] | None, output: str) -> bool:
    if result is not None:
        kind, text, _ = result["raised"]
        return bool(_OUT_OF_MEMORY.search(f"{kind}: {text}"))
    # SIGKILL that did not come from us is how the kernel ends what takes too much.
    return name == "SIGKILL" or (name == "SIGABRT" and bool(_OUT_OF_MEMORY.search(output)))


def _memory_error(
    name: str, limit: int | None, progress: Progress, output: str
) -> CandidateCrashedError:
    under = f" under the limit of {limit / 2**20:.0f} MiB" if limit else ""
    if name == "SIGKILL":
        what = f"its process was killed{under}, as the system does when memory runs out"
    else:
        what = f"it ran out of memory{under}"
    return _crashed(what, progress, output)


def _raised(raised: Sequence[str], progress: Progress, output: str) -> BackendError:
    kind, text, place = raised
    return BackendError(
        f"the candidate raised {kind}: {text}{_seen(progress)}",
        where=place or None,
        hint=_last_words(output),
    )


def _crashed(what: str, progress: Progress, output: str) -> CandidateCrashedError:
    return CandidateCrashedError(
        f"the candidate did not finish: {what}{_seen(progress)}", hint=_last_words(output)
    )


def _last_words(output: str) -> str:
    lines = output.strip().splitlines()[-_OUTPUT_LINES:]
    said = "\n".join(f"  | {line}" for line in lines)
    return f"look at its last words:\n{said}" if said else "run it under a debugger; it was silent"


def _seen(progress: Progress) -> str:
    if not progress.count:
        return ", before its first tap"
    return f", after {progress.count} taps, the last of them {progress.last}"
