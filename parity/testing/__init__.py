"""Assertions for test suites: what `parity.assert_parity` and the pytest plugin are made of.

Importing this package loads nothing; each name is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.testing.agreement import differential
    from parity.testing.assertion import ParityAssertionError, assert_parity
    from parity.testing.golden import GoldenFile
    from parity.testing.message import explain, message

__all__ = [
    "GoldenFile",
    "ParityAssertionError",
    "assert_parity",
    "differential",
    "explain",
    "message",
]

_HOME_OF = {
    "GoldenFile": "golden",
    "ParityAssertionError": "assertion",
    "assert_parity": "assertion",
    "differential": "agreement",
    "explain": "message",
    "message": "message",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'parity.testing' has no attribute {name!r}")
    value = getattr(import_module(f"parity.testing.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
