"""The far side of `run_isolated`: a process that does one job, given on its standard input."""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from parity.backends.dotted import resolve
from parity.backends.progress import ProgressPage
from parity.errors import ParityError

__all__ = ["PROGRESS", "RESULT", "STACK_SIGNAL", "Job", "main", "place_of"]

PROGRESS, RESULT = "progress", "result.json"
STACK_SIGNAL = signal.SIGUSR1

# On Linux a limit on private writable memory spares mapped weight files and reserved addresses,
# of which torch alone has gigabytes; other systems enforce at best the limit on addresses.
_MEMORY = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS


@dataclass(frozen=True, slots=True)
class Job:
    """What the child is to do.

    Attributes:
        target: `module:function`, called with the progress page and the arguments; returns JSON.
        arguments: picklable.
        folder: where progress and result lie.
        memory_limit_bytes: most private memory the process may have, or None.
    """

    target: str
    arguments: tuple[object, ...]
    folder: str
    memory_limit_bytes: int | None = None


def main() -> None:
    """Do the job, leave its result in the job's folder, and end without tearing down."""
    faulthandler.enable(all_threads=False)
    faulthandler.register(STACK_SIGNAL, all_threads=True)
    job = _read_job()
    # A parent that dies takes its end of our input with it.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    result = _do(job)
    partial = Path(job.folder, f"{RESULT}.partial")
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.rename(Path(job.folder, RESULT))
    sys.stdout.flush()
    sys.stderr.flush()
    # The work is done: neither a native library's teardown nor a forgotten thread may undo that.
    os._exit(0)


def place_of(error: BaseException) -> str:
    """The innermost place that `error` passed in the user's code: `port.py:12 in forward`.

    That of an installed package where it passed no other, and empty where it passed only ours.
    """
    library = str(Path(__file__).parents[1])
    frames = traceback.extract_tb(error.__traceback__)
    foreign = [frame for frame in frames if not frame.filename.startswith((library, "<"))]
    own = [frame for frame in foreign if "site-packages" not in frame.filename]
    if not foreign:
        return ""
    frame = (own or foreign)[-1]
    return f"{frame.filename}:{frame.lineno} in {frame.name}"


def _read_job() -> Job:
    length = int.from_bytes(_read_exactly(8), "little")
    # Written by the parent process a moment ago, never by a stranger.
    return cast(Job, pickle.loads(_read_exactly(length)))  # noqa: S301


def _read_exactly(length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = os.read(0, min(1 << 20, length - len(parts)))
        if not part:
            os._exit(1)
        parts += part
    return bytes(parts)


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


def _do(job: Job) -> dict[str, Any]:
    page = ProgressPage(Path(job.folder, PROGRESS))
    soft, hard = resource.getrlimit(_MEMORY)
    try:
        if job.memory_limit_bytes is not None:
            resource.setrlimit(_MEMORY, (job.memory_limit_bytes, hard))
        work = cast(Callable[..., object], resolve(job.target))
        return {"value": work(page, *job.arguments)}
    except ParityError as error:
        return {"parity": [type(error).__name__, error.what, error.where, error.hint]}
    except Exception as error:  # whatever a candidate raises is an outcome
        # Memory may be at its limit: without room to report, the report would be the next failure.
        resource.setrlimit(_MEMORY, (soft, hard))
        traceback.print_exc()
        return {"raised": [type(error).__name__, str(error), place_of(error)]}
