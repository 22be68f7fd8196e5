"""Where a program's values are rounded to half precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch

__all__ = ["Declared", "Everywhere", "Mixed", "Precision", "rounded"]


class Precision(Protocol):
    """Decides what is rounded on its way into and out of an operation."""

    name: str

    def given(self, operation: Any, value: torch.Tensor) -> torch.Tensor:
        """An argument as the operation sees it."""
        ...

    def made(self, operation: Any, variable: Any, value: torch.Tensor) -> torch.Tensor:
        """A result as later operations see it."""
        ...


def rounded(value: torch.Tensor) -> torch.Tensor:
    """The nearest float16 of each element, as float32; beyond 65504 that is infinity."""
    return value.half().float() if value.is_floating_point() else value


class Declared:
    """Results are rounded where the program declares float16, as `ct.convert` left it."""

    name = "declared"

    def given(self, operation: Any, value: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Unchanged: casts are operations of the program."""
        return value

    def made(self, operation: Any, variable: Any, value: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Rounded if the variable is of float16."""
        return rounded(value) if _is_half(variable) else value


class Everywhere:
    """One precision for the whole program, whatever it declares."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._round = name == "float16"

    def given(self, operation: Any, value: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Rounded in float16."""
        return rounded(value) if self._round else value

    def made(self, operation: Any, variable: Any, value: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Rounded in float16."""
        return rounded(value) if self._round else value


class Mixed:
    """Some operations in float16, the others in float32, as an `op_selector` would have it.

    Args:
        in_half: whether an operation computes in float16.
    """

    name = "mixed"

    def __init__(self, in_half: Callable[[Any], bool]) -> None:
        self._in_half = in_half

    def given(self, operation: Any, value: torch.Tensor) -> torch.Tensor:
        """Rounded where the operation is in float16."""
        return rounded(value) if self._in_half(operation) else value

    def made(self, operation: Any, variable: Any, value: torch.Tensor) -> torch.Tensor:
        """Rounded where the operation is in float16, and where a state is written."""
        # States are float16 in any program, and are read back as such.
        state = operation is not None and operation.op_type == "coreml_update_state"
        half = self._in_half(operation) or (state and _is_half(variable))
        return rounded(value) if half else value


def _is_half(variable: Any) -> bool:
    from coremltools.converters.mil.mil import types  # noqa: PLC0415 - seconds to load

    return not types.is_list(variable.sym_type) and variable.dtype == types.fp16
