"""coremltools without its chatter: it warns about every native part that Linux lacks."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

__all__ = ["coremltools", "logged", "quietly"]


@contextmanager
def quietly() -> Iterator[None]:
    """No log lines, warnings or progress bars of coremltools inside; errors are raised as ever."""
    log = logging.getLogger("coremltools")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        # Its progress bars go to wherever errors go at that moment.
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


@contextmanager
def logged() -> Iterator[list[str]]:
    """The errors that coremltools logs inside, one text each."""
    lines: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("coremltools")
    log.addHandler(handler)
    try:
        yield lines
    finally:
        log.removeHandler(handler)


def coremltools() -> Any:
    """The module, which takes seconds to load the first time."""
    with quietly():
        import coremltools  # noqa: PLC0415

    return coremltools
