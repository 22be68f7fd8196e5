"""Bytes, rates and channels taken for others."""

from __future__ import annotations

import numpy as np
from scipy.signal import resample

from parity.audio.clip import Clip, at_rate
from parity.audio.evidence import Evidence, same
from parity.audio.lag import best_lag, correlation, overlap
from parity.audio.rereading import header_in_sound, misread
from parity.audio.spectrum import median_pitch_hz

__all__ = ["bytes_misread", "channels", "header", "held", "speed", "stretched", "wrong_rate"]

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
PIECE_S = 20
REACH = 4096
TINY = 1e-12


def bytes_misread(evidence: Evidence) -> str:
    """Bytes read in another format than they were written in."""
    reference = evidence.reference.mono if evidence.reference is not None else None
    return misread(evidence.raw.samples[0], reference)


def header(evidence: Evidence) -> str:
    """A file header at the beginning."""
    return header_in_sound(evidence.raw.samples[0])


def wrong_rate(evidence: Evidence) -> str:
    """Samples of one rate, labelled with another: the other rate's ratio fits, and so do they."""
    reference, candidate = evidence.reference, evidence.candidate
    if reference is None or evidence.waveform is None or same(evidence):
        return ""
    claimed = candidate.sample_rate
    ours = reference.mono[: PIECE_S * claimed]
    for rate in RATES:
        length = candidate.mono.size * claimed / rate
        if rate == claimed or abs(length / reference.mono.size - 1) > 0.03:
            continue
        labelled = Clip(candidate.mono[None, : PIECE_S * rate], rate)
        theirs = at_rate(labelled, claimed).mono
        lag = best_lag(ours, theirs, REACH)
        if abs(correlation(*overlap(ours, theirs, lag))) > 0.8:
            return f"wrong sample rate: the samples are {rate:,} Hz, the label says {claimed:,} Hz"
    return ""


def held(evidence: Evidence) -> str:
    """Every sample twice, or more often: a lower rate blown up by repetition."""
    samples = evidence.candidate.mono
    for times in (2, 3, 4, 5, 6):
        rows = samples[: samples.size // times * times].reshape(-1, times)
        if rows.size and (rows == rows[:, :1]).all() and np.ptp(samples) > 0:
            return _repeated(evidence, times)
    return ""


def _repeated(evidence: Evidence, times: int) -> str:
    reference = evidence.reference
    size = evidence.candidate.mono.size
    if reference is not None and abs(size / times / reference.mono.size - 1) < 0.03:
        return f"{times} interleaved channels were read as one: it plays {times} times as slowly"
    return f"each sample is repeated {times} times: a lower rate without a filter"


def speed(evidence: Evidence) -> str:
    """Another duration, and at the reference's duration the reference's samples."""
    if evidence.reference is None or evidence.waveform is None or same(evidence):
        return ""
    ours, theirs = evidence.reference.mono, evidence.candidate.mono
    # A piece of the whole, as long on both sides as the ratio says.
    piece = min(ours.size, PIECE_S * evidence.candidate.sample_rate)
    ratio = theirs.size / max(ours.size, 1)
    if not 0.2 < ratio < 5 or abs(ratio - 1) < 0.002:
        return ""
    played = resample(theirs[: round(piece * ratio)], piece)
    lag = best_lag(ours[:piece], played, REACH)
    if abs(correlation(*overlap(ours[:piece], played, lag))) > 0.8:
        return f"it plays {1 / ratio:.3g} times as fast, pitch and all"
    return ""


def stretched(evidence: Evidence) -> str:
    """Another duration at the same pitch: the level rises and falls as the reference's does."""
    if evidence.reference is None or evidence.waveform is None or same(evidence):
        return ""
    ours, theirs = (np.log(s.level + TINY) for s in evidence.spectra)
    ratio = len(theirs) / max(len(ours), 1)
    if not 0.5 < ratio < 2 or abs(ratio - 1) < 0.015 or len(ours) < 50:
        return ""
    played = np.interp(np.linspace(0, len(theirs) - 1, len(ours)), np.arange(len(theirs)), theirs)
    pitch = [median_pitch_hz(clip.mono, clip.sample_rate)
             for clip in (evidence.reference, evidence.candidate)]  # fmt: skip
    # Of the fixtures and the clips of the trained Pocket TTS, other sentences come to 0.88 at most.
    if correlation(ours, played) > 0.93 and abs(pitch[1] / pitch[0] - 1) < 0.03:
        return f"it is stretched in time: {1 / ratio:.3g} times as fast at the same pitch"
    return ""


def channels(evidence: Evidence) -> str:
    """Another number of channels, or channels exchanged."""
    if evidence.sides is None:
        return ""
    reference, candidate = evidence.sides
    if reference.channels != candidate.channels:
        has = "1 channel" if candidate.channels == 1 else f"{candidate.channels} channels"
        cancel = ": of opposite sign, they cancel" if _cancel(candidate) else ""
        return f"{has}, the reference has {reference.channels}{cancel}"
    if candidate.channels != 2 or candidate.samples.shape != reference.samples.shape:
        return ""
    crossed = [correlation(reference.samples[i], candidate.samples[1 - i]) for i in (0, 1)]
    straight = [correlation(reference.samples[i], candidate.samples[i]) for i in (0, 1)]
    return "left and right are exchanged" if min(crossed) > max(0.95, *straight) else ""


def _cancel(clip: Clip) -> bool:
    return clip.channels == 2 and correlation(clip.samples[0], clip.samples[1]) < -0.9
