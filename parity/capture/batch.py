"""Small tensors that wait to be summarised and written together.

Doing so one by one would cost several times what running the module did.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import numpy as np

from parity.capture.port import Port, Stack, Waiting
from parity.errors import InputError
from parity.metrics import digests, statistics_columns
from parity.store.block import RecordBlock
from parity.tensors import TensorSpec, Tier

__all__ = ["SMALL_BYTES", "Batch"]

Array = np.ndarray[Any, np.dtype[Any]]

SMALL_BYTES = 16 * 1024  # larger ones gain nothing from company
MOST_BYTES = 16 * 2**20  # of tensors that wait, and of what is known of them
LATEST_SECONDS = 0.5  # what a killed run may lose of what it had recorded


class Batch:
    """Gathers small tensors until they are many bytes, or have waited long.

    Args:
        write: takes each block of records.
    """

    def __init__(self, write: Callable[[RecordBlock], None]) -> None:
        self._write = write
        self._dirty: list[Stack] = []
        self._bytes = 0
        self._deadline = monotonic() + LATEST_SECONDS

    def push(self, port: Port, waiting: Waiting, array: Array, now: float) -> None:
        """Copy a tensor of any shape, and write out what waits when it is time.

        Everything in one place, because it is done for every call of every module.
        """
        stack = port.last
        if stack is None or stack.shape != array.shape or stack.dtype is not array.dtype:
            stack = port.stack_for(array)
        row = len(stack.waiting)
        if row == 0:
            self._dirty.append(stack)
        elif row == stack.room:
            stack.grow()
        stack.rows[row] = array
        stack.waiting.append(waiting)
        self._bytes += stack.row_bytes
        if self._bytes > MOST_BYTES or now > self._deadline:
            self.flush()

    def flush(self) -> None:
        """Write out everything that waits.

        Raises:
            InputError: some of it cannot be stored; all the rest is.
        """
        dirty, self._dirty = self._dirty, []
        self._bytes = 0
        refused: list[InputError] = []
        for stacks in _by_spec(dirty).values():
            statistics = _statistics(stacks)
            first = 0
            for stack in stacks:
                rows = slice(first, first + len(stack.waiting))
                block = _block(stack, {name: c[rows] for name, c in statistics.items()})
                stack.clear()
                first = rows.stop
                try:
                    self._write(block)
                except InputError as error:
                    refused.append(error)
        self._deadline = monotonic() + LATEST_SECONDS
        if refused:
            raise refused[0]


def _by_spec(stacks: list[Stack]) -> dict[TensorSpec, list[Stack]]:
    groups: dict[TensorSpec, list[Stack]] = {}
    for stack in stacks:
        groups.setdefault(stack.spec, []).append(stack)
    return groups


def _statistics(stacks: list[Stack]) -> dict[str, Array]:
    """Of all rows of all stacks, in one go: many taps run only once."""
    if len(stacks) == 1:
        return statistics_columns(stacks[0].data)
    return statistics_columns(np.concatenate([stack.data for stack in stacks]))


def _block(stack: Stack, statistics: dict[str, Array]) -> RecordBlock:
    port, data = stack.port, stack.data
    phases, calls, orders, steps, sources, producers, durations, threads, times = zip(
        *stack.waiting, strict=True
    )
    return RecordBlock(
        path=port.path,
        role=port.role,
        slot=port.slot,
        spec=stack.spec,
        tier=port.tier,
        data=data,
        columns={
            "call": calls,
            "order": orders,
            "step": steps,
            "thread": threads,
            "duration_s": durations,
            "time_s": times,
        },
        phases=phases,
        sources=sources,
        producers=producers,
        statistics=statistics,
        digests=[""] * len(data) if port.tier is Tier.STATS else digests(data),
    )
