"""Trials in processes of their own: one that dies or hangs costs its trial and not the bench."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from benchmarks.faults.trial import Outcome, Setup, run_trial

__all__ = ["run_all"]

# References stay in memory, traced, once a subject and case; a new process starts without them.
_TRIALS_A_PROCESS = 80
# A diagnosis ends by itself after 240 s of searching; what is behind that hangs.
_LONGEST = 1200.0
_LOOK_AGAIN = 5.0
_TO_END = 20.0


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    setup: Setup | None = None
    since: float = 0.0
    done: int = 0


def run_all(setups: Iterable[Setup], workers: int, stop_at: float) -> Iterator[Outcome]:
    """The outcome of each trial as it comes in; after `stop_at` no further one is begun."""
    waiting = deque(setups)
    crew = [_start() for _ in range(min(workers, len(waiting)))]
    try:
        for number in range(len(crew)):
            _next(crew, number, waiting, stop_at)
        while busy := [number for number, worker in enumerate(crew) if worker.setup is not None]:
            ready = wait([crew[number].pipe for number in busy], _LOOK_AGAIN)
            for number in busy:
                outcome = _outcome(crew, number, crew[number].pipe in ready)
                if outcome is not None:
                    yield outcome
                    _next(crew, number, waiting, stop_at)
    finally:
        for worker in crew:
            _end(worker)


def _start() -> _Worker:
    os.environ["OMP_NUM_THREADS"] = "1"  # children inherit it, and torch reads it on import
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _serve(pipe: Connection) -> None:
    import torch  # noqa: PLC0415 - in the child alone

    torch.set_num_threads(1)
    while True:
        try:
            setup = pipe.recv()
        except EOFError:
            return
        pipe.send(_tried(setup))


def _tried(setup: Setup) -> Outcome:
    try:
        return run_trial(setup)
    except Exception as error:
        return Outcome(setup, problem=f"{type(error).__name__}: {error}")


def _next(crew: list[_Worker], number: int, waiting: deque[Setup], stop_at: float) -> None:
    """Give a worker its next trial, if there is one and time for it."""
    worker = crew[number]
    worker.setup = None
    if not waiting or time.monotonic() >= stop_at:
        return
    if worker.done >= _TRIALS_A_PROCESS or not worker.process.is_alive():
        _end(worker)
        worker = crew[number] = _start()
    worker.setup, worker.since = waiting.popleft(), time.monotonic()
    worker.done += 1
    worker.pipe.send(worker.setup)


def _outcome(crew: list[_Worker], number: int, ready: bool) -> Outcome | None:
    """What a worker has to say of its trial; None while it is at it."""
    worker = crew[number]
    assert worker.setup is not None
    if ready:
        try:
            found: Outcome = worker.pipe.recv()
        except (EOFError, ConnectionError):
            _end(worker)
            return Outcome(worker.setup, problem="the process died, perhaps for want of memory")
        return found
    if time.monotonic() - worker.since > _LONGEST:
        _end(worker)
        return Outcome(worker.setup, problem=f"no answer after {_LONGEST:.0f} s")
    return None


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    # One that waits for work ends by itself, and removes the captures of its references.
    worker.process.join(_TO_END if worker.setup is None else 0.0)
    if worker.process.is_alive():
        worker.process.terminate()
        worker.process.join()
