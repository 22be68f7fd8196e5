"""The contract between the library and an implementation that it captures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from parity.tensors import Case, NoiseDraw, Role, TapPlan

__all__ = ["Backend", "Capabilities", "CaptureSink"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do beyond dumping tensors.

    Attributes:
        capture: it can run a case and hand over tensors.
        inject: it can put a given tensor at a tap and go on.
        states: it records states (caches, convolution histories) under the role `state`.
        streaming: it can produce its output in pieces.
        devices: where it can run (`cpu`, `cuda:0`, `ane`).
    """

    capture: bool = True
    inject: bool = False
    states: bool = False
    streaming: bool = False
    devices: tuple[str, ...] = ("cpu",)


class CaptureSink(Protocol):
    """Where a backend puts what it records. Arrays may be reused by the caller after the call."""

    def describe(self, facts: Mapping[str, str | int | float | bool]) -> None:
        """State facts of the run: `framework`, `framework_version`, `precision`, `device`.

        Reports repeat `remarks` and `skipped`, what a reader should know and what could not be
        recorded, in words. `turned` names orders into which axes were brought: `0 2 1, 0 3 1 2`.
        """
        ...

    def record(
        self,
        path: str,
        array: Array,
        *,
        role: Role = Role.TAP,
        slot: str = "",
        phase: str = "",
        call: int | None = None,
        step: int = -1,
        source: str = "",
        producers: tuple[int, ...] = (),
        duration_s: float = float("nan"),
    ) -> int | None:
        """Record one tensor of any shape.

        `call` defaults to how often this tap was recorded before in this phase.

        Returns:
            The record's place in execution order, or None where the plan does not want it.
        """
        ...

    def noise(self, draw: NoiseDraw) -> None:
        """Record one random draw, in draw order."""
        ...


@runtime_checkable
class Backend(Protocol):
    """An implementation of the model that can be captured: `torch`, `native`, `onnx`, `files`."""

    name: str

    def capabilities(self) -> Capabilities:
        """What this backend can do."""
        ...

    def capture(self, case: Case, plan: TapPlan, sink: CaptureSink) -> None:
        """Run `case` and record what `plan` wants into `sink`."""
        ...
