"""Carries the phase, and whatever else a recorded thread needs, into the threads that it starts."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from parity.capture.patching import Patches
from parity.capture.recorder import Recorder

__all__ = ["follow_threads"]


def follow_threads(
    recorder: Recorder, patches: Patches, within: Callable[[], AbstractContextManager[Any]]
) -> None:
    """Run every thread started from now on in the phase it was started in, and `within` it.

    torch keeps its modes a thread, so that a mode entered by the main thread does not see what
    a worker computes.
    """
    start = threading.Thread.start

    @functools.wraps(start)
    def recorded_start(thread: threading.Thread) -> None:
        run, phase = thread.run, recorder.here.phase

        def recorded_run() -> None:
            del thread.__dict__["run"]
            if recorder.closed:
                run()
                return
            with recorder.phase(phase), within():
                run()

        thread.__dict__["run"] = recorded_run
        start(thread)

    patches.set(threading.Thread, "start", recorded_start)
