"""Changes of one operation that are made together rather than one over the other.

An edit that computes an operation anew from its arguments undoes the edits before it. Changes that
know each other (another layout of a rotation, and another offset) say here what they change, and
whoever comes last makes them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from parity.localize.execute import Operands

__all__ = ["Chained"]


@dataclass(frozen=True, slots=True, eq=False)
class Chained:
    """What replaces an operation; usable as the `apply` of an edit.

    Attributes:
        change: what this one changes.
        make: makes the operation's result under all changes, first to last.
    """

    change: Any
    make: Callable[[Operands, Sequence[Any]], Any]

    def __call__(self, operands: Operands) -> Any:
        """The operation's result."""
        changes = [self.change]
        inner = operands.default
        while (
            isinstance(inner, partial)
            and isinstance(inner.func, Chained)
            and inner.func.make is self.make
        ):
            changes.append(inner.func.change)
            inner = inner.args[0].default
        plain = Operands(operands.args, operands.kwargs, inner, operands.reads)
        return self.make(plain, changes[::-1])
