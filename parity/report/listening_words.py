"""What listening found, in plain words: the sentences that every report opens with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parity.audio import Check, Listening, Waveform

__all__ = ["NAMES", "check_words", "corrections", "headline", "value_words"]

NAMES = {
    "pass": "in order",
    "warn": "in order, with warnings",
    "fail": "not in order",
    "inconclusive": "inconclusive",
    "invalid": "invalid",
    "skipped": "not examined",
}


def headline(listening: Listening) -> str:
    """The judgement in one or two sentences, causes first where they are known."""
    judgement = str(listening.judgement)
    if judgement == "fail":
        return f"A listener hears a difference: {_causes(listening)}."
    return _UNDECIDED.get(judgement) or _in_order(listening)


_UNDECIDED = {
    "invalid": "Nothing can be concluded: the reference is empty, silent or not finite.",
    "inconclusive": "Nothing can be concluded: it is not the same realisation, and nobody said "
    "whether both had the same random draws.",
}


def _causes(listening: Listening) -> str:
    """What was recognised; else the checks that failed; else what a recogniser said."""
    found = [str(found) for found in listening.diagnosis[:3]]
    failed = [check_words(c) for c in listening.checks if c.judgement == "fail"][:3]
    spoken = listening.speech.reasons if listening.speech is not None else ()
    return "; ".join(found) or ", ".join(failed) or "; ".join(spoken)


def _in_order(listening: Listening) -> str:
    if listening.waveform is None:
        return "The signal is in order."
    if listening.waveform.realisation == "other":
        return "Another realisation of the same sound: spectrum, level and pitch agree."
    return f"A listener hears no difference: {_agreement(listening.waveform)}."


def _agreement(waveform: Waveform) -> str:
    if waveform.snr_db == math.inf:
        return (
            "the waveforms are identical but for what was corrected"
            if _moved(waveform)
            else ("the waveforms are identical")
        )
    return f"the error lies {waveform.snr_db:.0f} dB under the signal"


def _moved(waveform: Waveform) -> bool:
    return bool(corrections(waveform))


def corrections(waveform: Waveform) -> tuple[str, ...]:
    """What was corrected for before the error was measured, in a few words each."""
    found = []
    if waveform.lag_samples:
        word = "late" if waveform.lag_samples > 0 else "early"
        found.append(f"{abs(waveform.lag_samples):,} samples {word}")
    if math.isfinite(waveform.gain) and waveform.gain != 1:
        found.append(f"gain {waveform.gain:.5g}")
    if math.isfinite(waveform.offset) and waveform.offset != 0:
        found.append(f"an offset of {waveform.offset:.2g}")
    if waveform.drift_corrected:
        found.append(f"clock {waveform.drift_ppm:+,.0f} ppm")
    return tuple(found)


def check_words(check: Check) -> str:
    """`rms 0.43 (limit 0.01 to 0.3)`."""
    limit = f" (limit {check.limit})" if check.limit else ""
    words = f", {check.words}" if check.words else ""
    return f"{check.name.replace('_', ' ')} {value_words(check.value)}{limit}{words}"


def value_words(value: float) -> str:
    """A number in few characters; a dash where it is not known."""
    if math.isnan(value):
        return "\N{EN DASH}"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == round(value) and abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.3g}"
