"""Implementations that can be captured: the contract, the registry, isolation, conformance."""

from parity.backends.dotted import resolve
from parity.backends.injection import InjectingBackend
from parity.backends.isolation import Ending, Outcome, Progress, ProgressPage, run_isolated
from parity.backends.memory import MemorySink, Recorded
from parity.backends.protocol import Backend, Capabilities, CaptureSink
from parity.backends.registry import Adapter, BackendInfo, available, find, load

__all__ = [
    "Adapter",
    "Backend",
    "BackendInfo",
    "Capabilities",
    "CaptureSink",
    "Ending",
    "InjectingBackend",
    "MemorySink",
    "Outcome",
    "Progress",
    "ProgressPage",
    "Recorded",
    "available",
    "find",
    "load",
    "resolve",
    "run_isolated",
]
