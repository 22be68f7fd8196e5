"""What a diagnosis says: findings, what they explain, and what nothing explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from parity.notebook.plots import DiagnosisPlots

__all__ = ["Diagnosis", "Finding", "FindingSite", "Grade", "Unexplained", "Verdict"]


class Grade(StrEnum):
    """How sure a finding is.

    `high`: the reference with this change reproduces the candidate down to its noise floor, at
    every call that was checked, and no other change does. `worth_trying`: it explains part of the
    difference, or one of several that explain it alike. `speculative`: only a signature.
    """

    HIGH = "high"
    WORTH_TRYING = "worth_trying"
    SPECULATIVE = "speculative"


class Verdict(StrEnum):
    """What a diagnosis as a whole says."""

    NO_FAULT = "no_fault"
    EXPLAINED = "explained"
    PARTLY_EXPLAINED = "partly_explained"
    UNEXPLAINED = "unexplained"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"

    @property
    def exit_status(self) -> int:
        """0 no fault, 1 it differs, 3 none in a run that broke off, or nothing was compared."""
        return {Verdict.NO_FAULT: 0, Verdict.INCONCLUSIVE: 3, Verdict.INVALID: 3}.get(self, 1)


@dataclass(frozen=True, slots=True)
class FindingSite:
    """Where a finding was made.

    Attributes:
        path: tap path of the module or function in which the operation lies.
        operation: the operation, or empty for the module as a whole.
        tap: the tap at which the difference shows first.
        phase: of the call there.
        call: the first call at which it shows.
        source: the reference's line of code.
        error: relative L2 at the tap without the change, on the candidate's inputs.
        left: the same with it.
        calls: at how many calls of this place it was checked.
    """

    path: str
    operation: str
    tap: str
    phase: str
    call: int
    source: str
    error: float
    left: float
    calls: int = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One cause.

    Attributes:
        rank: from 1, in the order of execution.
        family: the convention that differs (`norm`).
        parameter: of the family (`eps`).
        reference: what the reference does.
        candidate: what the candidate does.
        value: the candidate's number, where one was solved for.
        grade: how sure this is.
        sites: where, at least one.
        exceptions: places of the same kind at which the candidate does as the reference does.
        alpha: how much of the change the candidate shows, 1 for all of it.
        alpha_se: standard error of that.
        explained_local: share of the error at the tap that is gone with the change.
        explained_output: share of the error at the output that is gone with the change, beside
            those ranked before it; NaN where that was not measured.
        floor: the noise floor at the tap.
        alternatives: other changes that explain the same alike, and what would tell them apart.
        synonyms: `family.parameter` of other names for the same change.
        evidence: sentences.
    """

    rank: int
    family: str
    parameter: str
    reference: str
    candidate: str
    grade: Grade
    sites: tuple[FindingSite, ...]
    value: float | None = None
    exceptions: tuple[str, ...] = ()
    alpha: float = float("nan")
    alpha_se: float = float("nan")
    explained_local: float = float("nan")
    explained_output: float = float("nan")
    floor: float = float("nan")
    alternatives: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()

    @property
    def site(self) -> FindingSite:
        """The first place in order of execution."""
        return self.sites[0]

    @property
    def cause(self) -> str:
        """`family.parameter`, the identifier under which docs/families.md explains it."""
        return f"{self.family}.{self.parameter}"


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A tap that differs for a reason that was not found.

    Attributes:
        tap: its path.
        phase: of its first differing call.
        call: that call.
        error: relative L2 there, on the candidate's inputs.
        floor: the noise floor there.
        nearest: the hypothesis that came nearest, in words; empty if none explained anything.
        nearest_explains: share of the error that it explains.
        description: what the rest of the difference looks like.
        calls: how many calls of the tap differ.
        decides: the input that would decide between what cannot be told apart here; or empty.
    """

    tap: str
    phase: str
    call: int
    error: float
    floor: float
    nearest: str = ""
    nearest_explains: float = 0.0
    description: str = ""
    calls: int = 1
    decides: str = ""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Diagnosis:
    """Why a candidate differs from its reference.

    Attributes:
        verdict: as a whole.
        findings: the causes, in the order of execution.
        unexplained: taps at which something else differs too.
        equivalent: taps that differ without consequence: another parametrisation of the same.
        output: the tap that was taken as the output.
        output_error: relative L2 of the candidate's output against the reference's.
        output_left: the same against the reference with all findings put in; NaN if unknown.
        compared: how many tensors were checked on the candidate's own inputs.
        seconds: wall time of the diagnosis.
        notes: what else a reader should know.
        facts: of the run: precision of the candidate, cases, ...
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    unexplained: tuple[Unexplained, ...] = ()
    equivalent: tuple[str, ...] = ()
    output: str = ""
    output_error: float = float("nan")
    output_left: float = float("nan")
    compared: int = 0
    seconds: float = float("nan")
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def high(self) -> Sequence[Finding]:
        """The findings that are sure."""
        return [finding for finding in self.findings if finding.grade is Grade.HIGH]

    def to_frame(self) -> pd.DataFrame:
        """The findings as a pandas table, one row a finding."""
        import pandas as pd  # noqa: PLC0415 - only who asks for a table loads pandas

        columns = (
            "rank", "grade", "family", "parameter", "reference", "candidate", "value",
            "alpha", "explained_local", "explained_output",
        )  # fmt: skip
        rows = [
            {name: getattr(finding, name) for name in columns}
            | {"tap": finding.site.tap, "path": finding.site.path, "sites": len(finding.sites)}
            for finding in self.findings
        ]
        return pd.DataFrame(rows, columns=[*columns, "tap", "path", "sites"])

    @property
    def plot(self) -> DiagnosisPlots:
        """Pictures: `plot()` draws the shares of the findings, `plot.proof()` ..."""
        from parity.notebook.plots import DiagnosisPlots  # noqa: PLC0415 - loads matplotlib

        return DiagnosisPlots(self)

    def __str__(self) -> str:
        from parity.report.causes import summary  # noqa: PLC0415 - report stands above diagnose

        return summary(self)

    def __repr__(self) -> str:
        from parity.report.causes import headline  # noqa: PLC0415 - report stands above diagnose

        return f"<Diagnosis: {headline(self)}>"

    def _repr_html_(self) -> str:
        from parity.report.html import diagnosis_fragment  # noqa: PLC0415

        return diagnosis_fragment(self)
