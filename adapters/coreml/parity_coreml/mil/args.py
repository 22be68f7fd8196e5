"""The arguments of one operation, read as what a handler needs them for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch

__all__ = ["Args"]


class Args:
    """What an operation is given, by the names of its inputs.

    Args:
        operation: of the program.
        values: tensors, strings, None where nothing was given, or lists of them.
    """

    __slots__ = ("_values", "operation")

    def __init__(self, operation: Any, values: Mapping[str, Any]) -> None:
        self.operation = operation
        self._values = values

    def has(self, name: str) -> bool:
        """Whether it is given or has a default."""
        return self._values.get(name) is not None

    def tensor(self, name: str) -> torch.Tensor:
        """One that has to be there."""
        return cast(torch.Tensor, self._values[name])

    def optional(self, name: str) -> torch.Tensor | None:
        """One that may be left out."""
        return self._values.get(name)

    def tensors(self, name: str) -> list[torch.Tensor]:
        """The members of a list."""
        return list(self._values[name])

    def ints(self, name: str, default: list[int] | None = None) -> list[int]:
        """Whole numbers: shapes, axes, strides."""
        given = self._values.get(name)
        if given is None:
            return list(default or [])
        return [int(each) for each in given.reshape(-1).tolist()]

    def whole(self, name: str, default: int = 0) -> int:
        """A whole number."""
        given = self._values.get(name)
        return default if given is None else int(given)

    def number(self, name: str, default: float = 0.0) -> float:
        """A number."""
        given = self._values.get(name)
        return default if given is None else float(given)

    def flag(self, name: str, default: bool = False) -> bool:
        """A switch."""
        given = self._values.get(name)
        return default if given is None else bool(given)

    def flags(self, name: str, count: int) -> list[bool]:
        """Switches, one an axis; off where none are given."""
        given = self._values.get(name)
        return [False] * count if given is None else [bool(each) for each in given.tolist()]

    def text(self, name: str, default: str = "") -> str:
        """A word, such as a mode."""
        given = self._values.get(name)
        return default if given is None else str(given)
