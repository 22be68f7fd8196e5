"""Where a difference enters: the reference's own operations on the candidate's tensors.

`Reference` runs the trusted implementation again; its `Tape` is that run as a graph of operations.
`replay` judges every tap for itself, `forward` and `splice` say what a change costs at the output,
`calibrate` measures what rounding alone explains.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.localize.forward import forward, splice
    from parity.localize.reference import Reference
    from parity.localize.replay import Local, replay
    from parity.localize.tape import Tape

__all__ = ["Local", "Reference", "Tape", "forward", "replay", "splice"]

_HOME_OF = {
    "Local": "replay",
    "Reference": "reference",
    "Tape": "tape",
    "forward": "forward",
    "replay": "replay",
    "splice": "forward",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'parity.localize' has no attribute {name!r}")
    return getattr(import_module(f"parity.localize.{_HOME_OF[name]}"), name)
