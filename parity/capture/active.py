"""The recording that is on, and the three calls that code under test may contain.

A port calls `tap`, `phase` and `next_step` wherever it likes. While nothing records they cost a
function call and a comparison, and they load no array library.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeVar

from parity.errors import InputError
from parity.tensors import Role

__all__ = ["Listener", "activate", "deactivate", "describe", "next_step", "phase", "tap"]

Value = TypeVar("Value")


class Listener(Protocol):
    """What hears the calls: a recorder."""

    def tap(self, path: str, value: object, role: Role, slot: str) -> None:
        """Take a value that the code under test named."""
        ...

    def phase(self, name: str) -> AbstractContextManager[None]:
        """Hold a phase in the calling thread."""
        ...

    def next_step(self) -> None:
        """Begin the next step of the calling thread's phase."""
        ...

    def describe(self, facts: Mapping[str, str]) -> None:
        """State facts of the run."""
        ...


_listener: Listener | None = None
_switch = threading.Lock()


def tap(path: str, value: Value, *, role: Role = Role.TAP, slot: str = "") -> Value:
    """Record `value` under `path` when a recording is on, and return it.

    Args:
        path: dotted name of the point (`flow_lm.layers.0.gelu`).
        value: a tensor or array of any shape, or a tuple, list, mapping or dataclass of them.
        role: what it is. A port that stands for a module of the reference says `Role.OUTPUT`.
        slot: which of several tensors of that role; empty for the first or only one.

    Returns:
        `value` itself, so that a call can stand inside an expression.
    """
    if _listener is not None:
        _listener.tap(path, value, role, slot)
    return value


def phase(name: str) -> AbstractContextManager[None]:
    """Hold the phase `name` in this thread: `with parity.phase("decode"): ...`."""
    return nullcontext() if _listener is None else _listener.phase(name)


def next_step() -> None:
    """Begin the next step of the current phase; the first call begins step 0."""
    if _listener is not None:
        _listener.next_step()


def describe(facts: Mapping[str, str]) -> None:
    """State facts of the run in the recording that is on, for what records in place of a backend.

    Args:
        facts: as a backend states them: `remarks`, `skipped`, `implementation`.
    """
    if _listener is not None:
        _listener.describe(facts)


def activate(listener: Listener) -> None:
    """Make `listener` hear the calls.

    Raises:
        InputError: another recording is on.
    """
    global _listener  # noqa: PLW0603  one recording at a time is the state of the process
    with _switch:
        if _listener is not None:
            raise InputError(
                "a recording is already running in this process",
                hint="leave the outer `with parity.record(...)` first, or name all modules there",
            )
        _listener = listener


def deactivate(listener: Listener) -> None:
    """Undo `activate`; nothing happens when `listener` is not the one that hears."""
    global _listener  # noqa: PLW0603
    with _switch:
        if _listener is listener:
            _listener = None
