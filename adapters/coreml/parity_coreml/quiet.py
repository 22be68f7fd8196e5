"""coremltools without its chatter: it warns about every native part that Linux lacks."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

__all__ = ["coremltools", "quietly"]


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


def coremltools() -> Any:
    """The module, which takes seconds to load the first time."""
    with quietly():
        import coremltools  # noqa: PLC0415

    return coremltools
