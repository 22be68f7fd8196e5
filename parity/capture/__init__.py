"""Taps on running programs: what goes into a capture, and how it gets there.

Importing this package loads neither torch nor h5py; recording a torch model does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from parity.capture.active import describe, next_step, phase, tap

if TYPE_CHECKING:
    from parity.capture.environment import environment
    from parity.capture.files import record
    from parity.capture.options import Options
    from parity.capture.recorder import Recorder
    from parity.capture.recording import record_into
    from parity.capture.sink import StoreSink, Writer

__all__ = [
    "Options",
    "Recorder",
    "StoreSink",
    "Writer",
    "describe",
    "environment",
    "next_step",
    "phase",
    "record",
    "record_into",
    "tap",
]

_HOME_OF = {
    "Options": "options",
    "Recorder": "recorder",
    "StoreSink": "sink",
    "Writer": "sink",
    "environment": "environment",
    "record": "files",
    "record_into": "recording",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'parity.capture' has no attribute {name!r}")
    value = getattr(import_module(f"parity.capture.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
