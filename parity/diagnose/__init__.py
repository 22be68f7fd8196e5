"""Why a candidate differs: hypotheses about conventions, proven by running the reference with them.

`diagnose` does it all. `families` lists the conventions that are known, one file each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from parity.diagnose.result import Diagnosis, Finding, FindingSite, Grade, Unexplained, Verdict

if TYPE_CHECKING:
    from parity.diagnose.search import Limits
    from parity.diagnose.whole import diagnose

__all__ = [
    "Diagnosis",
    "Finding",
    "FindingSite",
    "Grade",
    "Limits",
    "Unexplained",
    "Verdict",
    "diagnose",
]

_HOME_OF = {"Limits": "search", "diagnose": "whole"}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'parity.diagnose' has no attribute {name!r}")
    return getattr(import_module(f"parity.diagnose.{_HOME_OF[name]}"), name)
