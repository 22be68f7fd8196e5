"""What listening found: three layers, a diagnosis, one judgement."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from parity.audio.clip import Clip
from parity.audio.health import Health
from parity.audio.judgement import Check, Judgement, worst
from parity.audio.pathologies import Pathology
from parity.audio.spectrum import Spectrum
from parity.audio.waveform import Waveform

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from parity.audio.speech import Speech

__all__ = ["Listening"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Listening:
    """A candidate's sound beside its reference's.

    Attributes:
        reference: the reference's sound, at the rate of the comparison; None without one.
        candidate: the candidate's, likewise, NaN and all.
        waveform: the first layer; None without a reference.
        speech: the second, what a recogniser understands; None where nobody asked.
        health: the third, the candidate's, with limits relative to the reference.
        reference_health: the reference's own, by absolute limits; None without one.
        story: the candidate under the four checks of preset `story`, for comparison.
        diagnosis: known ways to break a sound that were recognised.
        notes: what was done before comparing, in sentences.
        spectra: of reference and candidate, for pictures; of the candidate alone without a
            reference.
        title: what this is about.
    """

    reference: Clip | None
    candidate: Clip
    waveform: Waveform | None
    health: Health
    reference_health: Health | None
    story: Health
    speech: Speech | None = None
    diagnosis: tuple[Pathology, ...] = ()
    notes: tuple[str, ...] = ()
    spectra: tuple[Spectrum, ...] = field(default=())
    title: str = ""

    @property
    def judgement(self) -> Judgement:
        """The layers together.

        Without a usable reference there is nothing to say; else any that fails decides. Speech
        alone seldom concludes anything from one phrase, so that an undecided recogniser does not
        undo a waveform that passes.
        """
        if self.waveform is not None and self.waveform.judgement is Judgement.INVALID:
            return Judgement.INVALID
        layers = [self.health.judgement]
        if self.waveform is not None:
            layers.append(self.waveform.judgement)
        if self.speech is not None and self.speech.judgement is Judgement.FAIL:
            layers.append(Judgement.FAIL)
        found = worst(layers)
        understood = self.speech is not None and self.speech.judgement in ("pass", "warn")
        if found is Judgement.INCONCLUSIVE and understood:
            return Judgement.PASS
        return found

    @property
    def exit_status(self) -> int:
        """0 nothing to hear, 1 something, 3 nothing can be concluded."""
        return self.judgement.exit_status

    @property
    def checks(self) -> tuple[Check, ...]:
        """Those of all layers."""
        ours = self.waveform.checks if self.waveform is not None else ()
        return (*ours, *self.health.checks)

    @property
    def first_bad_s(self) -> float:
        """When the first bad frame begins in the reference, in seconds; NaN where none is."""
        waveform = self.waveform
        if waveform is None or waveform.first_bad_frame < 0:
            return math.nan
        begin = waveform.first_bad_frame * waveform.frame_samples + max(0, -waveform.lag_samples)
        return begin / self.candidate.sample_rate

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def __getitem__(self, name: str) -> Check:
        """The check of that name; the waveform's where both layers have one."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def to_frame(self) -> pd.DataFrame:
        """One row a check: layer, name, value, reference, judgement, limit, words."""
        import pandas as pd  # noqa: PLC0415 - a second to load, and few callers want it

        columns = ("layer", "name", "value", "reference", "judgement", "limit", "words")
        rows = [[_plain(getattr(check, c)) for c in columns] for check in self.checks]
        return pd.DataFrame(rows, columns=list(columns))

    def to_dict(self) -> dict[str, Any]:
        """Everything but the samples, as JSON values; what JSON cannot hold is null."""
        from parity.report.listening_json import listening_to_dict  # noqa: PLC0415

        return listening_to_dict(self)

    def plot(self) -> Figure:
        """Waveforms, error over time, spectrograms, long-term spectra."""
        from parity.report.listening_plots import plot_listening  # noqa: PLC0415

        return plot_listening(self)

    def __str__(self) -> str:
        from parity.report.listening_words import headline  # noqa: PLC0415

        return headline(self)

    def __repr__(self) -> str:
        return f"<Listening: {self}>"

    def _repr_html_(self) -> str:
        from parity.report.listening_html import listening_fragment  # noqa: PLC0415

        return listening_fragment(self)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Judgement) else value
