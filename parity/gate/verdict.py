"""What the gate says of a run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from parity.run import RunResult

__all__ = ["Excused", "Failure", "GateResult", "Kind"]


class Kind(StrEnum):
    """Why something does not pass."""

    DID_NOT_RUN = "did_not_run"
    """An implementation did not run, or there is no golden capture."""
    INCONCLUSIVE = "inconclusive"
    """Nothing can be concluded from a comparison."""
    DIVERGENT = "divergent"
    """The tolerance refuses a tap."""
    SKIPPED = "skipped"
    """Something was not compared, and is not listed."""
    COVERAGE = "coverage"
    """Too small a share of the reference's tensors was compared."""
    WORSE = "worse"
    """A tap is worse than in the best accepted run by more than its noise floor."""
    GONE = "gone"
    """A tap was compared in the best accepted run, and is not any more."""
    NO_BASELINE = "no_baseline"
    """The file of the best accepted run is not there."""
    STALE = "stale"
    """An entry of a list has nothing to excuse."""

    @property
    def exit_status(self) -> int:
        """2 something did not run, 3 nothing can be concluded, 1 anything else."""
        return {Kind.DID_NOT_RUN: 2, Kind.INCONCLUSIVE: 3}.get(self, 1)


@dataclass(frozen=True, slots=True)
class Failure:
    """One reason why a run does not pass.

    Attributes:
        kind: which rule it breaks.
        what: what is wrong, in a sentence.
        case: name of the case; empty for the run as a whole.
        candidate: name of the candidate; empty for the run as a whole.
        tap: path of the tap; empty for the comparison as a whole.
        where: role, phase, call and step at the tap, in words.
        first: whether it is the first divergence of its comparison.
        hint: what to do or run next.
    """

    kind: Kind
    what: str
    case: str = ""
    candidate: str = ""
    tap: str = ""
    where: str = ""
    first: bool = False
    hint: str = ""

    @property
    def place(self) -> str:
        """Where it is, in words: `hello, rust: decoder.0 (output, call 0)`."""
        pair = ", ".join(filter(None, (self.case, self.candidate)))
        tap = f"{self.tap} ({self.where})" if self.where else self.tap
        return ": ".join(filter(None, (pair, tap)))


@dataclass(frozen=True, slots=True)
class Excused:
    """Something that would have failed and is listed.

    Attributes:
        kind: which rule it breaks.
        case: name of the case.
        candidate: name of the candidate.
        tap: path of the tap; empty for the comparison as a whole.
        reason: why it is listed.
        until: the last day on which it counts, `2026-12-31`.
    """

    kind: Kind
    case: str
    candidate: str
    tap: str
    reason: str
    until: str


@dataclass(frozen=True, slots=True, eq=False)
class GateResult:
    """The gate's answer.

    Attributes:
        run: what was judged.
        failures: why it does not pass, the gravest first; empty where it does.
        excused: what would have failed and is listed.
        better: how many taps are better than in the best accepted run by more than their floor.
        new: how many taps the best accepted run does not know.
        baseline: the file of the best accepted run; None where none is kept.
        config: the configuration file.
        part: whether only a part of the candidates and cases was asked for.
        accepted: what was written to the baseline, in a sentence; empty where nothing was.
    """

    run: RunResult
    failures: tuple[Failure, ...]
    excused: tuple[Excused, ...] = ()
    better: int = 0
    new: int = 0
    baseline: Path | None = None
    config: Path | None = None
    part: bool = False
    accepted: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def exit_status(self) -> int:
        """0 passed; else that of the gravest failure: 2 before 1 before 3."""
        found = {failure.kind.exit_status for failure in self.failures}
        return next((status for status in (2, 1, 3) if status in found), 0)
