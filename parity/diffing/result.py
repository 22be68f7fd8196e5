"""The outcome of a comparison: one row a tensor, and what they add up to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.diffing.coverage import ModelCoverage
from parity.diffing.noise import FloorUse
from parity.tensors import TapKey, TensorSpec
from parity.tolerance import Verdict

if TYPE_CHECKING:
    import pandas as pd

    from parity.notebook.plots import DiffPlots

__all__ = ["DiffResult", "DiffTable", "Outcome", "TapDiff"]

FloatColumn = np.ndarray[Any, np.dtype[np.float64]]
IntColumn = np.ndarray[Any, np.dtype[np.int64]]
BoolColumn = np.ndarray[Any, np.dtype[np.bool_]]


class Outcome(StrEnum):
    """What a comparison as a whole says, with the exit status it stands for."""

    HOLDS = "holds"
    BROKEN = "broken"
    INVALID = "invalid"

    @property
    def exit_status(self) -> int:
        """0 parity holds, 1 it does not, 3 nothing can be concluded."""
        return {Outcome.HOLDS: 0, Outcome.BROKEN: 1, Outcome.INVALID: 3}[self]


@dataclass(frozen=True, slots=True)
class TapDiff:
    """One row: a reference tensor (or piece of one) beside the candidate's.

    Attributes:
        key: the reference's name of it; the candidate's where only that side has it.
        candidate_key: the candidate's name of it; None where it is missing.
        order: place in the reference's execution order; after all of them for extra taps.
        step: autoregressive step, or -1.
        reference: type and shape on the reference's side; None for an extra tap.
        candidate: the same on the candidate's side; None for a missing tap.
        verdict: how they differ.
        ok: whether the tolerance accepts that.
        reason: which bound failed, in words; empty where `ok`.
        metrics: by name (`rel_l2`, `cosine`, ...); empty where nothing could be compared.
        floor: the relative L2 error that rounding alone explains here.
        source: the line that produced the reference's tensor.
        seconds: wall time of the call, reference and candidate; NaN where unknown.
        gaps: time since the tensor recorded before it in the same thread, on both sides.
        piece: which part of a larger tensor was compared, in words; empty for the whole.
        calibrated: whether the floor was measured on the reference, rather than derived from the
            element type.
    """

    key: TapKey
    candidate_key: TapKey | None
    order: int
    step: int
    reference: TensorSpec | None
    candidate: TensorSpec | None
    verdict: Verdict
    ok: bool
    reason: str
    metrics: Mapping[str, float]
    floor: float
    source: str = ""
    seconds: tuple[float, float] = (math.nan, math.nan)
    gaps: tuple[float, float] = (math.nan, math.nan)
    piece: str = ""
    calibrated: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class DiffTable:
    """The rows of a result, held as columns: twenty thousand rows cost no objects.

    All sequences have one entry a row, rows being in the reference's execution order; `metrics`
    holds a float64 column a metric, NaN where a row could not be compared.
    """

    keys: Sequence[TapKey]
    candidate_keys: Sequence[TapKey | None]
    references: Sequence[TensorSpec | None]
    candidates: Sequence[TensorSpec | None]
    verdicts: Sequence[Verdict]
    reasons: Sequence[str]
    sources: Sequence[str]
    pieces: Sequence[str]
    order: IntColumn
    step: IntColumn
    ok: BoolColumn
    compared: BoolColumn
    floor: FloatColumn
    reference_s: FloatColumn
    candidate_s: FloatColumn
    reference_gap_s: FloatColumn
    candidate_gap_s: FloatColumn
    metrics: Mapping[str, FloatColumn]
    calibrated: BoolColumn

    def __len__(self) -> int:
        return len(self.keys)

    def row(self, index: int) -> TapDiff:
        """Row `index` as a value."""
        return TapDiff(
            key=self.keys[index],
            candidate_key=self.candidate_keys[index],
            order=int(self.order[index]),
            step=int(self.step[index]),
            reference=self.references[index],
            candidate=self.candidates[index],
            verdict=self.verdicts[index],
            ok=bool(self.ok[index]),
            reason=self.reasons[index],
            metrics={name: float(column[index]) for name, column in self.metrics.items()}
            if self.compared[index]
            else {},
            floor=float(self.floor[index]),
            source=self.sources[index],
            seconds=(float(self.reference_s[index]), float(self.candidate_s[index])),
            gaps=(float(self.reference_gap_s[index]), float(self.candidate_gap_s[index])),
            piece=self.pieces[index],
            calibrated=bool(self.calibrated[index]),
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DiffResult:
    """A reference and a candidate compared, tensor by tensor.

    Attributes:
        reference: what the reference's side is called.
        candidate: what the candidate's side is called.
        table: the rows, as columns.
        outcome: whether parity holds.
        because: one sentence for an outcome that the rows alone do not explain; else empty.
        notes: what alignment did and what a reader should know, in sentences.
        tolerance: name of the rules that were applied.
        facts: of the two runs, by side: implementation, framework, precision.
        output: path of the tap that is the model's output; empty where nobody said.
        floors: where the noise floors come from.
        model: how much of the reference's model was compared; None where nobody counted.
    """

    reference: str
    candidate: str
    table: DiffTable
    outcome: Outcome
    because: str = ""
    notes: tuple[str, ...] = ()
    tolerance: str = ""
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    output: str = ""
    floors: FloorUse = field(default_factory=FloorUse)
    model: ModelCoverage | None = None

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[TapDiff]:
        return (self.table.row(index) for index in range(len(self.table)))

    def __getitem__(self, path: str) -> tuple[TapDiff, ...]:
        """All rows of the tap `path`, in execution order."""
        rows = [i for i, key in enumerate(self.table.keys) if key.path == path]
        if not rows:
            raise KeyError(path)
        return tuple(self.table.row(i) for i in rows)

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many rows have each verdict; verdicts that no row has are left out."""
        return dict(Counter(self.table.verdicts))

    @property
    def compared(self) -> int:
        """How many tensors were compared by value."""
        return int(self.table.compared.sum())

    @property
    def coverage(self) -> float:
        """Share of the reference's tensors that were compared, 0 to 1."""
        ours = sum(spec is not None for spec in self.table.references)
        return self.compared / ours if ours else 0.0

    @property
    def failures(self) -> tuple[TapDiff, ...]:
        """The rows that the tolerance does not accept, in execution order."""
        return tuple(self.table.row(int(i)) for i in np.flatnonzero(~self.table.ok))

    @property
    def first_divergence(self) -> TapDiff | None:
        """The first tensor, in execution order, that was there on both sides and is not accepted.

        Where only missing taps fail, the first of these; None where everything is accepted.
        """
        failing = np.flatnonzero(~self.table.ok)
        both = [i for i in failing if self.table.candidates[i] is not None]
        chosen = both or list(failing)
        return self.table.row(int(chosen[0])) if chosen else None

    @property
    def at_the_output(self) -> TapDiff | None:
        """The last compared tensor of the output; None where nobody said which tap that is."""
        for i in np.flatnonzero(self.table.compared)[::-1]:
            if self.table.keys[i].path == self.output:
                return self.table.row(int(i))
        return None

    def worst(self, count: int = 10) -> tuple[TapDiff, ...]:
        """The `count` compared rows with the largest relative L2 error, NaN counting as largest."""
        error = self.table.metrics["rel_l2"]
        rows = np.flatnonzero(self.table.compared)
        size = np.where(np.isnan(error[rows]), np.inf, error[rows])
        ranked = rows[np.argsort(-size, kind="stable")]
        return tuple(self.table.row(int(i)) for i in ranked[:count])

    def to_frame(self) -> pd.DataFrame:
        """One row a tensor, one column an attribute or metric."""
        import pandas as pd  # noqa: PLC0415 - a second to load, and few callers want it

        table = self.table
        columns: dict[str, Any] = {
            "path": [key.path for key in table.keys],
            "port": [key.port for key in table.keys],
            "phase": [key.phase for key in table.keys],
            "call": [key.call for key in table.keys],
            "step": table.step,
            "order": table.order,
            "verdict": [str(verdict) for verdict in table.verdicts],
            "ok": table.ok,
            "reason": list(table.reasons),
            "reference": [str(spec) if spec else "" for spec in table.references],
            "candidate": [str(spec) if spec else "" for spec in table.candidates],
            "candidate_path": [key.path if key else "" for key in table.candidate_keys],
            "piece": list(table.pieces),
            "floor": table.floor,
            "calibrated": table.calibrated,
            "source": list(table.sources),
            "reference_s": table.reference_s,
            "candidate_s": table.candidate_s,
            "reference_gap_s": table.reference_gap_s,
            "candidate_gap_s": table.candidate_gap_s,
        }
        return pd.DataFrame(columns | dict(table.metrics))

    def speed(self) -> pd.DataFrame:
        """Both sides' time, tap by tap, summed over all calls.

        Counted is the time from one recorded tensor to the next in the same thread, which every
        port has, whether its taps are module calls or explicit. It contains the recording itself;
        with `tier="stats"` that is least.

        Returns:
            One row a path, in execution order: `calls`, `reference_s`, `candidate_s`, `ratio`.
        """
        frame = self.to_frame()
        frame = frame[frame["reference_gap_s"].notna() & frame["candidate_gap_s"].notna()]
        grouped = frame.groupby("path", sort=False).agg(
            calls=("call", "size"),
            reference_s=("reference_gap_s", "sum"),
            candidate_s=("candidate_gap_s", "sum"),
        )
        return grouped.assign(ratio=grouped["candidate_s"] / grouped["reference_s"])

    @property
    def plot(self) -> DiffPlots:
        """Pictures: `plot()` draws the error along execution, `plot.heat()` over steps, ..."""
        from parity.notebook.plots import DiffPlots  # noqa: PLC0415 - matplotlib is slow to load

        return DiffPlots(self)

    def __str__(self) -> str:
        from parity.report.words import headline  # noqa: PLC0415 - report stands above diffing

        return headline(self)

    def __repr__(self) -> str:
        return f"<DiffResult: {self}>"

    def _repr_html_(self) -> str:
        from parity.notebook.results import diff_html  # noqa: PLC0415 - it stands above diffing

        return diff_html(self)
