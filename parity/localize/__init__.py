"""Where a difference enters: the reference's own operations on the candidate's tensors.

`localize` says for every tensor whether its error enters there or is inherited. `Reference` runs
the trusted implementation again; its `Tape` is that run as a graph of operations. `calibrate`
measures what rounding alone explains.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.localize.local_errors import Local, replay
    from parity.localize.localization import Localization, Origin, TapError, localize
    from parity.localize.reference import Reference
    from parity.localize.tape import Tape
    from parity.localize.whole_run import forward, splice

__all__ = [
    "Local",
    "Localization",
    "Origin",
    "Reference",
    "TapError",
    "Tape",
    "forward",
    "localize",
    "replay",
    "splice",
]

_HOME_OF = {
    "Local": "local_errors",
    "Localization": "localization",
    "Origin": "localization",
    "Reference": "reference",
    "TapError": "localization",
    "Tape": "tape",
    "forward": "whole_run",
    "localize": "localization",
    "replay": "local_errors",
    "splice": "whole_run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'parity.localize' has no attribute {name!r}")
    return getattr(import_module(f"parity.localize.{_HOME_OF[name]}"), name)
