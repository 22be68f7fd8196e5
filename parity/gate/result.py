"""What the gate found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from parity.run import RunResult
from parity.run.gate_config import Listed

__all__ = ["EVERYWHERE", "Failure", "Forgiven", "GateResult", "Kind"]

EVERYWHERE = ""


class Kind(StrEnum):
    """Why something does not pass."""

    DID_NOT_RUN = "did_not_run"
    INCONCLUSIVE = "inconclusive"
    DIVERGENCE = "divergence"
    NOT_COMPARED = "not_compared"
    COVERAGE = "coverage"
    WORSE = "worse"
    NO_BASELINE = "no_baseline"
    GONE = "gone"
    STALE = "stale"

    @property
    def exit_status(self) -> int:
        """2 for what did not run, 3 for what shows nothing, 1 for all else."""
        return {Kind.DID_NOT_RUN: 2, Kind.INCONCLUSIVE: 3}.get(self, 1)


@dataclass(frozen=True, slots=True)
class Failure:
    """One reason why a run does not pass.

    Attributes:
        kind: of which sort.
        case: on which case; empty for none in particular.
        candidate: of which candidate; empty for none in particular.
        tap: at which path; empty for the comparison as a whole.
        words: what is wrong, in a sentence without its end.
        hint: the command or change that helps; empty where the words say it.
    """

    kind: Kind
    case: str
    candidate: str
    tap: str
    words: str
    hint: str = ""

    @property
    def where(self) -> str:
        """Candidate, case and tap in a line."""
        pair = " on ".join(filter(None, (self.candidate, self.case)))
        return ": ".join(filter(None, (pair, self.tap)))


@dataclass(frozen=True, slots=True)
class Forgiven:
    """A failure that the configuration lists.

    Attributes:
        failure: what would not pass.
        entry: the entry that lists it.
    """

    failure: Failure
    entry: Listed


@dataclass(frozen=True, slots=True)
class GateResult:
    """Whether a run passes.

    Attributes:
        run: what was judged.
        failures: why not, the first divergences first; empty where it passes.
        forgiven: what is listed as known, and fails.
        improved: taps that are better than the baseline by more than their floor, in words.
    """

    run: RunResult
    failures: tuple[Failure, ...] = ()
    forgiven: tuple[Forgiven, ...] = ()
    improved: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether the run may be merged."""
        return not self.failures

    @property
    def exit_status(self) -> int:
        """0 passes, 1 does not, 2 something did not run, 3 nothing can be concluded."""
        found = {failure.kind.exit_status for failure in self.failures}
        return next((status for status in (2, 1, 3) if status in found), 0)

    def of(self, case: str, candidate: str) -> tuple[Failure, ...]:
        """The failures of one comparison."""
        return tuple(f for f in self.failures if (f.case, f.candidate) == (case, candidate))
