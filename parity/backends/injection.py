"""The optional half of the contract: going on from a given tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from parity.backends.protocol import Array, Backend, CaptureSink
from parity.tensors import Case, TapKey, TapPlan

__all__ = ["InjectingBackend"]


@runtime_checkable
class InjectingBackend(Backend, Protocol):
    """A backend whose capabilities say `inject`."""

    def capture_injected(
        self,
        case: Case,
        plan: TapPlan,
        sink: CaptureSink,
        replacements: Mapping[TapKey, Array],
    ) -> None:
        """Run `case`, put each replacement in its tap's place, and go on with it.

        A tap that is replaced is recorded as it is replaced.

        Args:
            case: what to run.
            plan: what to record; it does not limit what is replaced.
            sink: where records go.
            replacements: tensors by the key they are recorded under, of the tap's shape and type.

        Raises:
            ParityError: a key does not occur in the run, or a replacement does not fit.
        """
        ...
