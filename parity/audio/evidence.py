"""What is known of a sound when known ways to break it are looked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parity.audio.clip import Clip
from parity.audio.health import Health
from parity.audio.spectrum import Spectrum
from parity.audio.waveform import Waveform

__all__ = ["Evidence", "number", "of_reference", "same"]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What is known when the pathologies are looked for.

    Attributes:
        raw: the candidate's channel as it was read, NaN and all.
        candidate: without them; one channel, the worst of several.
        reference: the same channel, at the candidate's rate; None where there is none.
        waveform: their comparison.
        health: of the candidate.
        spectra: of reference and candidate; of the candidate alone twice.
        frame: samples of a frame.
        sides: reference and candidate, all channels; None where there is no reference.
    """

    raw: Clip
    candidate: Clip
    reference: Clip | None
    waveform: Waveform | None
    health: Health
    spectra: tuple[Spectrum, Spectrum]
    frame: int
    sides: tuple[Clip, Clip] | None = None

    @property
    def differs(self) -> bool:
        """Whether there is anything to explain."""
        return self.health.judgement == "fail" or (
            self.waveform is not None and self.waveform.judgement in ("fail", "inconclusive")
        )


def number(evidence: Evidence, name: str) -> float:
    """One of the measures of health; 0 where it was not measured."""
    return evidence.health.measures.get(name, 0.0)


def of_reference(evidence: Evidence, name: str) -> float:
    """The reference's measure; what a sound in order would have where there is no reference."""
    found = [c.reference for c in evidence.health.checks if c.name == name]
    return found[0] if found and np.isfinite(found[0]) else 0.0


def same(evidence: Evidence) -> bool:
    """Whether candidate and reference are the same realisation."""
    return evidence.waveform is not None and evidence.waveform.realisation == "same"
