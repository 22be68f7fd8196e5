"""Samples of the wrong size: scaled, clipped, bent, zero, stuck."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.audio.evidence import Evidence, number, of_reference, same
from parity.audio.lag import overlap
from parity.audio.measures import constant_runs

__all__ = ["bits", "clipping", "curve", "dc", "gain", "nonfinite", "silent", "stuck", "zero_frames"]

CURVE_SAMPLES, CURVE_BIN = 100_000, 20
# Shorter ones fail the check, and are not worth a sentence.
NOTED_MS = 5.0

IntArray = np.ndarray[Any, np.dtype[np.int64]]


def nonfinite(evidence: Evidence) -> str:
    """NaN and infinities."""
    bad = ~np.isfinite(evidence.raw.samples).all(axis=0)
    if not bad.any():
        return ""
    first = int(np.flatnonzero(bad)[0])
    at = first / evidence.raw.sample_rate
    return f"{int(bad.sum()):,} samples are NaN or infinite, the first at {at:.3f} s"


def silent(evidence: Evidence) -> str:
    """Nothing, or next to nothing."""
    peak = number(evidence, "peak")
    if peak < 1e-6:
        return "silence: not one sample is above 1e-6"
    return f"nearly silent: the peak is {peak:.1e}" if peak < 0.01 else ""


def gain(evidence: Evidence) -> str:
    """Scaled, or the sign flipped."""
    waveform = evidence.waveform
    if waveform is None or not same(evidence):
        return ""
    flipped = "the sign is flipped; " if waveform.gain < 0 else ""
    size = abs(waveform.gain)
    scaled = f"a gain of {size:.3g}" if not 0.99 <= size <= 1.01 and waveform.snr_db > 25 else ""
    return (flipped + scaled).rstrip("; ")


def clipping(evidence: Evidence) -> str:
    """Cut off at full scale or at a peak of its own."""
    share, peak = number(evidence, "clipped_share"), number(evidence, "peak")
    if share > 1e-4 and peak <= 1.0001:
        return f"clipped: {share:.2%} of the samples are at full scale"
    if peak > 1.0:
        return f"above full scale: the peak is {peak:.2f}"
    top = np.abs(evidence.candidate.mono) >= 0.9999 * peak
    if peak > 0.01 and top.mean() > 1e-3:
        return f"flat tops: {top.mean():.2%} of the samples are at the peak of {peak:.2f}"
    return ""


def dc(evidence: Evidence) -> str:
    """A constant offset that the reference does not have."""
    dc = number(evidence, "dc")
    if abs(dc - of_reference(evidence, "dc")) > 0.002 and abs(dc) > 0.005:
        return f"a constant offset (DC) of {dc:.3g}"
    return ""


def curve(evidence: Evidence) -> str:
    """A curve between input and output: the candidate is a function of the reference's sample."""
    waveform = evidence.waveform
    if evidence.reference is None or waveform is None or not same(evidence):
        return ""
    if waveform.snr_db > 40:
        return ""
    a, b = overlap(evidence.reference.mono, evidence.candidate.mono, waveform.lag_samples)
    a, b = a[:CURVE_SAMPLES], b[:CURVE_SAMPLES]
    order = np.argsort(a)
    usable = order[: order.size // CURVE_BIN * CURVE_BIN].reshape(-1, CURVE_BIN)
    means_a, means_b = a[usable].mean(axis=1), b[usable].mean(axis=1)
    straight = float((b - np.polyval(np.polyfit(a, b, 1), a)).var())
    left = float((b - np.interp(a, means_a, means_b)).var())
    if straight <= 0 or not left < 0.1 * straight:
        return ""
    third = len(means_a) // 3
    inner = np.polyfit(means_a[third:-third], means_b[third:-third], 1)[0]
    outer = (means_b[-1] - means_b[0]) / (means_a[-1] - means_a[0])
    if inner > 0 and outer < 0.99 * inner:
        return "squashed: a saturating curve, such as tanh, lies behind the output"
    return "a curve lies behind the output: each sample is a function of the reference's"


def bits(evidence: Evidence) -> str:
    """Few levels."""
    bits = number(evidence, "bits")
    return f"coarse: the samples have only {bits:.1f} bits" if 0 < bits < 10 else ""


def zero_frames(evidence: Evidence) -> str:
    """Exact zeros where the reference has sound: whole frames, or dropouts."""
    samples, rate = evidence.candidate.mono, evidence.candidate.sample_rate
    runs, size = constant_runs(samples, least=max(2, rate // 200)), samples.size
    zero = (runs.values == 0) & (runs.starts > 0) & (runs.starts + runs.lengths < size)
    if evidence.reference is not None and same(evidence):
        zero &= _sounding(evidence, runs.starts, runs.lengths)
    if not zero.any():
        return ""
    total, frame = int(runs.lengths[zero].sum()), evidence.frame
    whole = (runs.lengths[zero] >= frame * 0.95) & (runs.starts[zero] % frame <= 0.05 * frame)
    if whole.any():
        frames = int(np.round(runs.lengths[zero][whole] / frame).sum())
        return f"{frames} of {size // frame} frames are zero"
    seconds = total / rate
    count = "a dropout" if zero.sum() == 1 else f"{int(zero.sum())} dropouts"
    return f"{count}, {seconds:.2f} s of exact zeros within the sound"


def _sounding(
    evidence: Evidence, starts: IntArray, lengths: IntArray
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Where the reference is not silent as well."""
    assert evidence.reference is not None and evidence.waveform is not None  # noqa: S101, PT018
    lag, ours = evidence.waveform.lag_samples, evidence.reference.mono
    pieces = [
        ours[max(0, s - lag) : max(0, s - lag) + n] for s, n in zip(starts, lengths, strict=True)
    ]
    return np.array([bool(np.abs(piece).max(initial=0.0) > 1e-3) for piece in pieces], bool)


def stuck(evidence: Evidence) -> str:
    """One value held."""
    stuck = number(evidence, "stuck_ms")
    if stuck <= NOTED_MS or number(evidence, "clipped_share") > 1e-4:
        return ""
    return f"stuck: one value is held for {stuck:.1f} ms"
