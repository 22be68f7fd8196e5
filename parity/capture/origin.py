"""The line of the user's program that a call came from."""

from __future__ import annotations

import sys
from types import CodeType, FrameType

__all__ = ["caller_line"]

_OURS = ("parity.capture.", "parity.localize.")
_HIDDEN = ("torch", "contextlib", "functools", "threading")
_names: dict[tuple[CodeType, int], str] = {}


def caller_line() -> str:
    """`mlp.py:95`: the innermost running line that lies neither in torch nor in the recorder."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_hidden(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    if frame is None:
        return ""
    where = (frame.f_code, frame.f_lineno)
    name = _names.get(where)
    if name is None:
        file = frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
        name = _names[where] = f"{file}:{frame.f_lineno}"
    return name


def _is_hidden(module: str) -> bool:
    return module.startswith(_OURS) or module.partition(".")[0] in _HIDDEN
