"""What `parity run` found: one comparison a case and candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from parity.diagnose import Diagnosis
from parity.diffing import DiffResult, Outcome

if TYPE_CHECKING:
    from parity.audio import Listening
    from parity.audio.speech import Speech

__all__ = ["CaptureState", "Comparison", "RunResult", "SpeechSpeed"]


@dataclass(frozen=True, slots=True)
class CaptureState:
    """One capture of a run.

    Attributes:
        path: its file.
        reused: whether an earlier run's file was still good.
        seconds: wall time of making it; 0 when reused.
        problem: why it is not complete, in words; empty when it is.
    """

    path: Path
    reused: bool = False
    seconds: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class SpeechSpeed:
    """How fast a subject spoke while it was recorded.

    Attributes:
        audio_s: how long its waveform is.
        run_s: how long the run took, from its first recorded tensor to its last.
        first_audio_s: how long it took to the first sound.
    """

    audio_s: float
    run_s: float
    first_audio_s: float

    @property
    def real_time_factor(self) -> float:
        """Seconds of sound for each second of the run; above 1 is faster than real time."""
        return self.audio_s / self.run_s if self.run_s else math.nan


@dataclass(frozen=True, slots=True)
class Comparison:
    """One candidate on one case. Stages fill it in, one after the other.

    Attributes:
        case: name of the case.
        candidate: name of the candidate.
        reference: the reference's capture.
        capture: the candidate's capture.
        diff: their comparison; None where a capture holds nothing to compare.
        diagnosis: why they differ; None where they do not, or where nobody could say.
        undiagnosed: why nobody could, in words; else empty.
        listening: what a listener hears; None for what makes no sound.
        unheard: why nobody listened, in words; else empty.
        speed: how fast reference and candidate spoke, by side; empty for what makes no sound.
        reports: the files written about it, by format.
    """

    case: str
    candidate: str
    reference: CaptureState
    capture: CaptureState
    diff: DiffResult | None = None
    diagnosis: Diagnosis | None = None
    undiagnosed: str = ""
    listening: Listening | None = None
    unheard: str = ""
    speed: Mapping[str, SpeechSpeed] = field(default_factory=dict)
    reports: Mapping[str, Path] = field(default_factory=dict)

    @property
    def exit_status(self) -> int:
        """0 parity holds, 1 it does not, 2 an implementation did not run, 3 inconclusive."""
        if self.reference.problem or self.capture.problem or self.diff is None:
            return 2
        status = self.diff.outcome.exit_status
        # What is heard breaks parity that the tensors' tolerance lets pass; it mends nothing.
        heard = self.listening is not None and self.listening.exit_status == 1
        return 1 if heard and status == 0 else status


@dataclass(frozen=True, slots=True)
class RunResult:
    """All comparisons of a run.

    Attributes:
        subject: what is ported.
        comparisons: in the order of cases, then candidates.
    """

    subject: str
    comparisons: tuple[Comparison, ...]

    @property
    def exit_status(self) -> int:
        """The status of the worst comparison: unusable before broken before inconclusive."""
        found = {comparison.exit_status for comparison in self.comparisons}
        return next((status for status in (2, 1, 3) if status in found), 0)

    @property
    def speech(self) -> Mapping[str, Speech]:
        """What a recogniser understood of each candidate over all cases; empty where none did."""
        heard: dict[str, list[Speech]] = {}
        for comparison in self.comparisons:
            if comparison.listening is not None and comparison.listening.speech is not None:
                heard.setdefault(comparison.candidate, []).append(comparison.listening.speech)
        if not heard:
            return {}
        from parity.audio.speech import pooled  # noqa: PLC0415 - loads scipy

        return {candidate: pooled(found) for candidate, found in heard.items()}

    @property
    def holds(self) -> bool:
        """Whether every comparison says that parity holds."""
        return all(
            c.diff is not None and c.diff.outcome is Outcome.HOLDS and not c.exit_status
            for c in self.comparisons
        )
