"""Bytes, rates and channels taken for others."""

from __future__ import annotations

import numpy as np

from parity.audio.clip import Clip, at_rate
from parity.audio.evidence import Evidence, same
from parity.audio.judgement import Check
from parity.audio.lag import best_lag, correlation, overlap
from parity.audio.rereading import header_in_sound, misread

__all__ = ["bytes_misread", "channels", "header", "held", "speed", "wrong_rate"]

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
PIECE_S = 20
REACH = 4096


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
    """Another duration, and a pitch to match."""
    if evidence.reference is None or same(evidence):
        return ""
    ratio = evidence.candidate.mono.size / max(evidence.reference.mono.size, 1)
    pitch = next((c.value for c in _checks(evidence) if c.name == "pitch_ratio"), np.nan)
    if abs(ratio - 1) > 0.03 and abs(ratio * pitch - 1) < 0.03:
        return f"it plays {1 / ratio:.2f} times as fast, pitch and all"
    return ""


def _checks(evidence: Evidence) -> tuple[Check, ...]:
    return evidence.waveform.checks if evidence.waveform is not None else ()


def channels(evidence: Evidence) -> str:
    """Another number of channels, or channels exchanged."""
    reference, candidate = evidence.reference, evidence.raw
    if reference is None:
        return ""
    if reference.channels != candidate.channels:
        return f"{candidate.channels} channels, the reference has {reference.channels}"
    if candidate.channels != 2 or candidate.samples.shape != reference.samples.shape:
        return ""
    crossed = [correlation(reference.samples[i], evidence.candidate.samples[1 - i]) for i in (0, 1)]
    straight = [correlation(reference.samples[i], evidence.candidate.samples[i]) for i in (0, 1)]
    return "left and right are exchanged" if min(crossed) > max(0.95, *straight) else ""
