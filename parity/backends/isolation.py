"""Run a function in a process of its own, watch it, and say how it ended, whatever it does."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parity.backends.child import PROGRESS, RESULT, STACK_SIGNAL, Job
from parity.backends.outcome import Ending, Outcome, classify
from parity.backends.progress import Progress, ProgressPage
from parity.errors import InputError

__all__ = ["Ending", "Outcome", "Progress", "ProgressPage", "run_isolated"]

_POLL_S = 0.1
_STACK_S = 0.5
_OUTPUT_BYTES = 64 * 1024


def run_isolated(
    target: str,
    *arguments: object,
    timeout_s: float | None = None,
    memory_limit_bytes: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Call `target(page, *arguments)` in a new process and say how that ended.

    The process has the same interpreter, folder and module search path. Its standard output and
    error are kept apart from ours, so that a chatty candidate cannot spoil machine-read output.
    It never outlives this call, nor this process.

    Args:
        target: `module:function`. It is given a `ProgressPage` first, and returns a JSON value.
        *arguments: anything that can be pickled.
        timeout_s: wall time after which it is ended, with the stack it was found at; None for no
            limit.
        memory_limit_bytes: most private memory it may have; None for no limit.
        on_progress: called about ten times a second while it runs.

    Raises:
        InputError: an argument cannot be pickled.
    """
    with tempfile.TemporaryDirectory(prefix="parity-run-") as folder:
        message = _framed(Job(target, arguments, folder, memory_limit_bytes))
        page = ProgressPage(Path(folder, PROGRESS))
        started = time.monotonic()
        process = _start()
        output = _Tail(process)
        try:
            _send(process, message)
            timed_out = _watch(process, page, started, timeout_s, on_progress)
        finally:
            _end(process)
            text = output.finish()
        try:
            return classify(
                returncode=process.returncode,
                timed_out_s=timeout_s if timed_out else None,
                memory_limit_bytes=memory_limit_bytes,
                result=_result(Path(folder, RESULT)),
                progress=page.read(),
                duration_s=time.monotonic() - started,
                output=text,
            )
        finally:
            page.close()


def _framed(job: Job) -> bytes:
    try:
        body = pickle.dumps(job)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"an argument cannot be sent to another process: {error}",
            where=job.target,
            hint="pass plain values, arrays, and names of importable objects",
        ) from error
    return len(body).to_bytes(8, "little") + body


def _start() -> subprocess.Popen[bytes]:
    # An empty entry stands for the current folder, and would be lost on the way.
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return subprocess.Popen(
        [sys.executable, "-P", "-u", "-c", "from parity.backends.child import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": path},
        bufsize=0,
        # A group of its own, so that whatever it starts in turn can be ended with it.
        start_new_session=True,
    )


def _send(process: subprocess.Popen[bytes], message: bytes) -> None:
    assert process.stdin is not None  # noqa: S101  opened above; kept open until the end
    view = memoryview(message)
    # A process that died already is reported by how it died, not by a broken pipe.
    with contextlib.suppress(BrokenPipeError):
        while view:
            view = view[process.stdin.write(view) :]


def _watch(
    process: subprocess.Popen[bytes],
    page: ProgressPage,
    started: float,
    timeout_s: float | None,
    on_progress: Callable[[Progress], None] | None,
) -> bool:
    """Wait for the end; whether it had to be called off."""
    while True:
        left = _POLL_S
        if timeout_s is not None:
            left = min(left, started + timeout_s - time.monotonic())
        if left <= 0:
            process.send_signal(STACK_SIGNAL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STACK_S)
            return True
        try:
            process.wait(left)
        except subprocess.TimeoutExpired:
            if on_progress is not None:
                on_progress(page.read())
        else:
            return False


def _end(process: subprocess.Popen[bytes]) -> None:
    # The group may hold grandchildren even when the child itself has gone.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _result(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


class _Tail:
    """Reads what a process writes, so that it never blocks, and keeps the end of it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101  opened by `_start`
        self._stream = process.stdout
        self._kept = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while part := self._stream.read(1 << 16):
            self._kept += part
            del self._kept[:-_OUTPUT_BYTES]

    def finish(self) -> str:
        """The end of the output, once the process has gone."""
        self._thread.join(timeout=5.0)
        if not self._thread.is_alive():
            self._stream.close()
        return bytes(self._kept).decode(errors="replace")
