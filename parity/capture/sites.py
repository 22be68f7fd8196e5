"""A place in a program that is recorded whenever it runs, and one running call of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from itertools import count
from typing import Any, NamedTuple

__all__ = ["Call", "Frame", "Moment", "Site", "Thread"]

Call = Callable[..., Any]


class Moment(NamedTuple):
    """When something ran.

    Attributes:
        phase: the phase it ran in; empty for none.
        call: which call of its tap in that phase, from 0; None to go on counting.
        step: the autoregressive step, or -1.
    """

    phase: str
    call: int | None
    step: int


class Site:
    """A module or a function under its name.

    Attributes:
        path: its dotted name.
        inputs: whether its arguments are recorded.
        outputs: whether its results are recorded.
        names: names of its positional arguments, to know which hold states.
        skip: how many leading positional arguments are not data (`self`).
        steps: phases in which a call of this site begins the next step.
        plain: whether operations inside add nothing to its own result.
    """

    __slots__ = (
        "_calls",
        "inputs",
        "names",
        "outputs",
        "path",
        "plain",
        "skip",
        "steps",
    )

    def __init__(
        self,
        path: str,
        *,
        inputs: bool = True,
        outputs: bool = True,
        names: tuple[str, ...] = (),
        skip: int = 0,
        steps: Collection[str] = (),
        plain: bool = False,
    ) -> None:
        self.path = path
        self.inputs = inputs
        self.outputs = outputs
        self.names = names
        self.skip = skip
        self.steps = frozenset(steps)
        self.plain = plain
        self._calls: dict[str, Iterator[int]] = {}

    def next_call(self, phase: str) -> int:
        """Number of the call that begins now, counted from 0 within `phase`."""
        counter = self._calls.get(phase)
        if counter is None:
            counter = self._calls.setdefault(phase, count())
        return next(counter)


class Frame:
    """One running call of a site."""

    __slots__ = ("at", "fed", "occurrences", "site", "wanted")

    def __init__(self, site: Site, at: Moment, *, wanted: bool) -> None:
        self.site = site
        self.at = at
        self.wanted = wanted
        self.fed: tuple[int, ...] = ()  # records that fed it
        self.occurrences: dict[str, int] = {}  # operations seen so far, by name

    def occurrence(self, operation: str) -> int:
        """How often `operation` ran in this call before."""
        number = self.occurrences.get(operation, 0)
        self.occurrences[operation] = number + 1
        return number


class Thread(threading.local):
    """What the recorder knows of the running thread.

    Attributes:
        phase: the phase that holds in it; empty for none.
        stack: the calls running in it, outermost first.
        overhead_ns: time spent on recording so far, to be left out of durations.
        quiet: whether torch works for the recorder now, which is not to be recorded.
    """

    def __init__(self) -> None:
        self.phase = ""
        self.stack: list[Frame] = []
        self.overhead_ns = 0
        self.quiet = False

    def unseen(self) -> _Unseen:
        """A context in which operations and random draws of this thread go unrecorded."""
        return _Unseen(self)


class _Unseen:
    """`Thread.unseen`; a class, because a generator takes four times as long."""

    __slots__ = ("_earlier", "_thread")

    def __init__(self, thread: Thread) -> None:
        self._thread = thread

    def __enter__(self) -> None:
        self._earlier = self._thread.quiet
        self._thread.quiet = True

    def __exit__(self, *_: object) -> None:
        self._thread.quiet = self._earlier
