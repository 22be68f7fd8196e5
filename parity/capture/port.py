"""One path, role and slot while it is recorded: its calls, and small tensors that wait."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.tensors import Role, TensorSpec, Tier

__all__ = ["Port", "Stack", "Waiting"]

Array = np.ndarray[Any, np.dtype[Any]]

FIRST_ROWS = 16
WAITING_BYTES = 400  # of what is known of one tensor


# What is known of a record whose tensor waits: phase, call, order, step, source, producers,
# duration_s, thread, time_s. A plain tuple: a named one takes several times as long to make.
Waiting = tuple[str, int, int, int, str, tuple[int, ...], float, int, float]


class Stack:
    """Copies of tensors of one port, type and shape.

    Attributes:
        port: whose tensors they are.
        spec: type and shape of each.
        dtype: their element type.
        shape: their shape.
        waiting: what is known of each.
        rows: memory for them, shape `(room, ...)`.
        room: how many fit.
        row_bytes: memory that one of them takes.
    """

    __slots__ = ("dtype", "port", "room", "row_bytes", "rows", "shape", "spec", "waiting")

    def __init__(self, port: Port, spec: TensorSpec, array: Array) -> None:
        self.port = port
        self.spec = spec
        self.dtype = array.dtype
        self.shape = array.shape
        self.waiting: list[Waiting] = []
        self.room = FIRST_ROWS
        self.row_bytes = array.nbytes + WAITING_BYTES
        self.rows = np.empty((FIRST_ROWS, *array.shape), array.dtype)

    @property
    def data(self) -> Array:
        """The tensors, shape `(n, ...)`."""
        return self.rows[: len(self.waiting)]

    def grow(self) -> None:
        """Make room for as many again."""
        self.rows = np.concatenate([self.rows, np.empty_like(self.rows)])
        self.room *= 2

    def clear(self) -> None:
        """Forget the tensors; their memory is used again."""
        self.waiting = []


class Port:
    """One path, role and slot.

    Attributes:
        path: of the tap.
        role: of the tensor.
        slot: of the tensor.
        tier: how much is kept.
        wanted: whether the plan wants it at all.
        calls: number of the next call, by phase.
        last: the stack that was used last; the next tensor mostly fits it.
        stacks: by element type and shape.
    """

    __slots__ = ("calls", "last", "path", "role", "slot", "stacks", "tier", "wanted")

    def __init__(self, path: str, role: Role, slot: str, *, tier: Tier, wanted: bool) -> None:
        self.path = path
        self.role = role
        self.slot = slot
        self.tier = tier
        self.wanted = wanted
        self.calls: dict[str, int] = {}
        self.last: Stack | None = None
        self.stacks: dict[tuple[str, tuple[int, ...]], Stack] = {}

    def stack_for(self, array: Array) -> Stack:
        """The stack that takes `array`."""
        last = self.last
        if last is not None and last.shape == array.shape and last.dtype is array.dtype:
            return last
        key = (array.dtype.name, array.shape)
        stack = self.stacks.get(key)
        if stack is None:
            stack = self.stacks[key] = Stack(self, TensorSpec(*key), array)
        self.last = stack
        return stack
