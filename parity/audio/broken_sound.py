"""What is heard on top of the sound, or no longer in it: clicks, noise, missing bands."""

from __future__ import annotations

import numpy as np
from scipy.fft import rfft

from parity.audio.clip import Samples
from parity.audio.evidence import Evidence, number, of_reference, same
from parity.audio.lag import correlation, overlap
from parity.audio.measures import clicks, second_difference
from parity.audio.spectrum import BANDS_HZ, band_levels_db
from parity.audio.waveform import Waveform

__all__ = ["added", "bands", "boundaries", "chunk_clicks", "noise", "phases"]

TINY = 1e-12
LEAST_HZ, HUM_HZ, PIECE_S = 20, 200, 20


def chunk_clicks(evidence: Evidence) -> str:
    """Clicks, at chunk boundaries or anywhere."""
    rate, frame = evidence.candidate.sample_rate, evidence.frame
    places = clicks(second_difference(evidence.candidate.mono), rate)
    if places.size < 3:
        return boundaries(evidence) or (_some_clicks(places.size) if places.size else "")
    phases = np.minimum(places % frame, frame - places % frame)
    if (phases <= 3).mean() > 0.7:
        return f"clicks at chunk boundaries: {places.size} of them, each {frame:,} samples"
    return boundaries(evidence) or _some_clicks(places.size)


def _some_clicks(count: int) -> str:
    return "a click" if count == 1 else f"{count} clicks"


def boundaries(evidence: Evidence) -> str:
    """Errors or kinks at chunk boundaries that are no clicks."""
    waveform = evidence.waveform
    if _jumps(evidence) > 0.8:
        return "the error jumps at chunk boundaries: a state is lost between chunks"
    if same(evidence) and waveform is not None and waveform.boundary_error > 3:
        return (
            f"the error gathers at chunk boundaries ({waveform.boundary_error:.0f} times the rest)"
        )
    if number(evidence, "boundary_curvature") > 1.15:
        return "the curve breaks at chunk boundaries"
    return ""


def _jumps(evidence: Evidence) -> float:
    """Share of the power of the error's difference that lies at chunk boundaries."""
    waveform, reference = evidence.waveform, evidence.reference
    if waveform is None or reference is None or not same(evidence) or waveform.snr_db > 40:
        return 0.0
    a, b = overlap(reference.mono, evidence.candidate.mono, waveform.lag_samples)
    power = np.diff(b / waveform.gain - a) ** 2
    # Boundaries are the candidate's.
    at = np.arange(evidence.frame - max(0, waveform.lag_samples) - 1, power.size, evidence.frame)
    return float(power[at[at >= 0]].sum() / (power.sum() + TINY))


def bands(evidence: Evidence) -> str:
    """What the long-term spectrum lacks, in words; not of sound whose samples are nonsense."""
    if evidence.reference is None:
        return ""
    ours, theirs = band_levels_db(evidence.spectra[0]), band_levels_db(evidence.spectra[1])
    apart = theirs - ours - np.median((theirs - ours)[np.argsort(ours)[-3:]])
    present = ours > ours.max() - 55
    lost = (apart < -9) & present
    if not lost.any() or lost.all():
        return ""
    first, last = np.flatnonzero(lost)[[0, -1]]
    if lost[first:].sum() == present[first:].sum() and first > 0:
        return f"low-passed: little is left above {BANDS_HZ[first]:,} Hz"
    if lost[: last + 1].all():
        return f"high-passed: little is left below {BANDS_HZ[last + 1]:,} Hz"
    if lost[first : last + 1].all():
        return f"a hole in the spectrum from {BANDS_HZ[first]:,} to {BANDS_HZ[last + 1]:,} Hz"
    return ""


def added(evidence: Evidence) -> str:
    """An error as strong in pauses as in speech: a tone, noise, another sound."""
    waveform, reference = evidence.waveform, evidence.reference
    if waveform is None or reference is None or not same(evidence):
        return ""
    quiet = np.isnan(waveform.frames)
    if waveform.snr_db > 60 or quiet.sum() < 2 or waveform.first_bad_frame == 0:
        return ""
    pauses, speech = (np.median(waveform.frame_errors[which]) for which in (quiet, ~quiet))
    a, b = overlap(reference.mono, evidence.candidate.mono, waveform.lag_samples)
    error = b / waveform.gain - a
    spread = float(np.abs(error).max()) / (float(error.std()) + TINY)
    if not 0.5 < pauses / max(speech, TINY) < 2 or spread > 8:
        return ""
    return _named(error, evidence.candidate.sample_rate, waveform)


def _named(error: Samples, rate: int, waveform: Waveform) -> str:
    if tone := _tone(error, rate):
        what = f"a hum of {tone:.0f} Hz" if tone < HUM_HZ else f"a tone of {tone:,.0f} Hz"
        return f"{what} is added, {waveform.snr_db:.0f} dB under the signal"
    if abs(correlation(error[1:], error[:-1])) > 0.98:
        return ""
    if waveform.frame_errors.std() > 0.5 * waveform.frame_errors.mean():
        return f"another sound is added, {waveform.snr_db:.0f} dB under the signal"
    if waveform.snr_db < 1:
        return "noise is added, as loud as the signal"
    return f"noise is added, {waveform.snr_db:.0f} dB under the signal"


def _tone(error: Samples, rate: int) -> float:
    """Its frequency where most of the error is a single tone; 0 where it is not."""
    piece = error[: PIECE_S * rate]
    power = np.abs(rfft((piece - piece.mean()) * np.hanning(piece.size))) ** 2
    peak = int(np.argmax(power))
    share = power[max(0, peak - 4) : peak + 5].sum() / max(float(power.sum()), TINY)
    found = peak * rate / piece.size
    return found if share > 0.7 and found > LEAST_HZ else 0.0


def noise(evidence: Evidence) -> str:
    """Noise in place of sound."""
    if same(evidence) or number(evidence, "peak") < 1e-6:
        return ""
    reference = of_reference(evidence, "flatness")
    return "white noise" if reference < 0.05 and number(evidence, "flatness") > 0.3 else ""


def phases(evidence: Evidence) -> str:
    """Another waveform with the very same spectrogram."""
    waveform, reference = evidence.waveform, evidence.reference
    if waveform is None or reference is None or waveform.realisation != "other":
        return ""
    ours, theirs = (10 * np.log10(s.mel + TINY) for s in evidence.spectra)
    if abs(len(ours) - len(theirs)) > 4:
        return ""
    count = min(len(ours), len(theirs))
    loud = ours[:count] > ours.max() - 40
    apart = (theirs[:count] - ours[:count])[loud]
    close = float(np.abs(apart - np.median(apart)).mean())
    return "the spectrogram is the reference's, the phases are not" if close < 3.5 else ""
