"""One capture: the model run untouched, then with more outputs, and what came out recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from parity.backends import CaptureSink
from parity.errors import BackendError
from parity.tensors import Case, Role
from parity_onnx.exposing import Part
from parity_onnx.feeding import Feeder
from parity_onnx.model import Array, Model, Session
from parity_onnx.names import Named, calls_a_run

__all__ = ["Driver", "Lost", "Recording"]

Outputs = dict[str, Array]
Driver = Callable[[Callable[[Mapping[str, Array]], Outputs], Case], object]
_FEW = 8  # names in a sentence


class Lost:
    """What is not recorded, and why."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, str], None] = {}

    def add(self, path: str, reason: str) -> None:
        """Note that nothing is recorded for `path`."""
        self._reasons[path, reason] = None

    def __str__(self) -> str:
        return "; ".join(f"{path} ({reason})" for path, reason in self._reasons)


class Recording:
    """Runs a case and records values of the graph.

    Args:
        model: the model.
        untouched: its session without further outputs.
        named: all values with a name, the paths as they are recorded.
        case: what to run.
        driver: feeds the model, where one run on the case's arrays is not what is wanted.
        lost: where to note what cannot be recorded.
    """

    def __init__(
        self,
        model: Model,
        untouched: Session,
        named: Sequence[Named],
        case: Case,
        *,
        driver: Driver | None,
        lost: Lost,
    ) -> None:
        self._model = model
        self._case = case
        self._driver = driver
        self._lost = lost
        self._feeder = Feeder(model)
        self._calls = calls_a_run(named)
        self._changed: dict[str, float] = {}
        self._plain = self._runs(untouched)

    def take(self, part: Part, named: Sequence[Named], sink: CaptureSink) -> None:
        """Record `named`, which `part` gives out; the model's own outputs from the untouched run.

        Raises:
            BackendError: the model fails, or the driver runs it another number of times.
        """
        if part.refused:
            for one in named:
                self._lost.add(one.path, part.refused)
            return
        runs = self._plain if part.session is None else self._runs(part.session)
        if len(self._plain) != len(runs):
            raise BackendError(
                f"it ran the model {len(self._plain)} times, and then {len(runs)} times",
                where="driver",
                hint="let it do the same each time: it is called once for every batch of outputs",
            )
        for number, (own, made) in enumerate(zip(self._plain, runs, strict=True)):
            for name in self._model.outputs:
                off = _difference(own[name], made[name])
                if not off <= self._changed.get(name, 0.0):  # NaN is the largest
                    self._changed[name] = off
            for one in named:
                self._put(one, number, own.get(one.value, made.get(one.value)), sink)

    def _put(self, one: Named, number: int, value: object, sink: CaptureSink) -> None:
        if not isinstance(value, np.ndarray) or value.dtype == object:
            self._lost.add(one.path, f"its value is a {type(value).__name__}, no tensor")
            return
        call = number * self._calls[one.path] + one.call
        sink.record(one.path, value, role=Role.OUTPUT, slot=one.slot, call=call)

    def _runs(self, session: Session) -> list[Outputs]:
        """What each run of the case takes and gives out."""
        found: list[Outputs] = []

        def run(feeds: Mapping[str, Array]) -> Outputs:
            given = self._feeder.feeds(feeds)
            made = session.run(given)
            found.append({**given, **made})
            return {name: made[name] for name in self._model.outputs}

        if self._driver is None:
            run(self._feeder.from_case(self._case))
        else:
            self._driver(run, self._case)
        return found

    @property
    def remarks(self) -> str:
        """What a reader should know, in words; empty where there is nothing."""
        changed = self._changed
        said = [*self._feeder.casts.values()]
        if changed:
            some = ", ".join(f"{name} by {off:.1e}" for name, off in list(changed.items())[:_FEW])
            said.append(
                "giving out intermediate values changes what ONNX Runtime fuses, and with it the "
                f"model's own outputs ({some} of their size), which are recorded untouched"
            )
        return "; ".join(said)


def _difference(own: object, made: object) -> float:
    """How far an output is from that of the untouched model, relative to its size."""
    if not isinstance(own, np.ndarray) or not isinstance(made, np.ndarray):
        return 0.0
    if own.shape != made.shape:
        return float("inf")
    if own.tobytes() == made.tobytes():
        return 0.0
    one, other = own.astype(np.float64), made.astype(np.float64)
    size = float(np.linalg.norm(one))
    off = float(np.linalg.norm(one - other))
    return off / size if size else off
