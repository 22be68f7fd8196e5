"""The change that lets an operation read something made of its own operand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from parity.diagnose.operands import Change, Place, changed
from parity.localize.execute import Edit, Operands
from parity.localize.tape import Node

__all__ = ["substituted"]


def substituted(node: Node, where: Iterable[Place], change: Callable[[Any], Any]) -> Edit:
    """The change that puts `change(operand)` in the place of the operands at some places."""
    each: Change = partial(_changed, change)
    return changed(node, dict.fromkeys(where, each))


def _changed(change: Callable[[Any], Any], operand: Any, operands: Operands) -> Any:
    del operands
    return change(operand)
