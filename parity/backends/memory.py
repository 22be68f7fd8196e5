"""A sink that keeps what a backend records, for tests, for small runs and for conformance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from parity.backends.protocol import Array
from parity.tensors import NoiseDraw, Role, TapKey, TapPlan, TensorSpec

__all__ = ["MemorySink", "Recorded"]


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """One recorded tensor with its data.

    Attributes:
        key: its name.
        array: a copy of it, of any shape.
        step: the autoregressive step, or -1.
        order: its position in execution order.
        source: the line that produced it, or empty.
        producers: the `order` of the records that fed it.
    """

    key: TapKey
    array: Array
    step: int
    order: int
    source: str = ""
    producers: tuple[int, ...] = ()

    @property
    def spec(self) -> TensorSpec:
        """Its element type and shape."""
        return TensorSpec(str(self.array.dtype), self.array.shape)


class MemorySink:
    """A `CaptureSink` that keeps copies in memory.

    Args:
        plan: what to keep; everything by default.
        watch: called with path and array of each record before anything else is done with it.

    Attributes:
        plan: what it keeps.
        records: what was recorded, in execution order.
        offered: what it was handed, whether the plan wanted it or not.
        draws: the random draws, in draw order.
        facts: what the backend stated about the run.
    """

    def __init__(
        self, plan: TapPlan | None = None, watch: Callable[[str, Array], None] | None = None
    ) -> None:
        self._watch = watch
        self.plan = plan or TapPlan()
        self.records: list[Recorded] = []
        self.offered: list[TapKey] = []
        self.draws: list[NoiseDraw] = []
        self.facts: dict[str, str | int | float | bool] = {}
        self._calls: Counter[TapKey] = Counter()

    def describe(self, facts: Mapping[str, str | int | float | bool]) -> None:
        """Take facts of the run."""
        self.facts.update(facts)

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
        duration_s: float = float("nan"),  # noqa: ARG002  part of the protocol
    ) -> int | None:
        """Keep a copy of `array`, of any shape, where the plan wants it."""
        if self._watch is not None:
            self._watch(path, array)
        tap = TapKey(path, role, slot, phase)
        number = self._calls[tap] if call is None else call
        self._calls[tap] = number + 1
        key = TapKey(path, role, slot, phase, number)
        self.offered.append(key)
        if not self.plan.wants(key, step):
            return None
        order = len(self.records)
        self.records.append(Recorded(key, np.array(array), step, order, source, producers))
        return order

    def noise(self, draw: NoiseDraw) -> None:
        """Keep a random draw."""
        self.draws.append(draw)

    def __getitem__(self, path: str) -> Array:
        """The last array recorded at `path`."""
        for record in reversed(self.records):
            if record.key.path == path:
                return record.array
        raise KeyError(path)
