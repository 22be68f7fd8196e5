"""Samples of the wrong size: scaled, clipped, bent, zero, stuck."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import spearmanr

from parity.audio.clip import Samples
from parity.audio.evidence import Evidence, number, of_reference, same
from parity.audio.lag import overlap
from parity.audio.measures import constant_runs

__all__ = [
    "bits", "clipping", "curve", "dc", "gain", "level", "nonfinite", "overflow", "short", "silent",
    "stuck", "zero_frames",
]  # fmt: skip

CURVE_SAMPLES, CURVE_BIN = 100_000, 20
# Shorter ones fail the check, and are not worth a sentence.
NOTED_MS = 5.0
# So many frames tell a gain.
AGREEING = 5

IntArray = np.ndarray[Any, np.dtype[np.int64]]


def nonfinite(evidence: Evidence) -> str:
    """NaN and infinities."""
    bad = ~np.isfinite(evidence.raw.samples).all(axis=0)
    if not bad.any():
        return ""
    first = int(np.flatnonzero(bad)[0])
    at = first / evidence.raw.sample_rate
    if bad.sum() == 1:
        return f"1 sample is NaN or infinite, at {at:.3f} s"
    return f"{int(bad.sum()):,} samples are NaN or infinite, the first at {at:.3f} s"


def short(evidence: Evidence) -> str:
    """Hardly anything there."""
    count = evidence.candidate.mono.size
    if not 0 < count < evidence.candidate.sample_rate // 100:
        return ""
    return "it is only 1 sample long" if count == 1 else f"it is only {count} samples long"


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
    # Of the frames that agree: elsewhere, a gain says nothing.
    agree = waveform.frames > 0.99
    exact = agree.sum() >= AGREEING and np.median(waveform.frame_errors[agree]) < 0.03
    tells = waveform.snr_db > 25 or exact
    scaled = f"a gain of {size:.3g}" if not 0.99 <= size <= 1.01 and tells else ""
    return (flipped + scaled).rstrip("; ")


def clipping(evidence: Evidence) -> str:
    """Cut off at full scale or at a peak of its own."""
    share, peak = number(evidence, "clipped_share"), number(evidence, "peak")
    if share > 1e-4 and peak <= 1.0001:
        return f"clipped: {share:.2%} of the samples are at full scale"
    if peak > 1.0:
        finite = evidence.raw.samples[np.isfinite(evidence.raw.samples)]
        peak = float(np.abs(finite).max(initial=peak))
        return f"above full scale: the peak is {peak:{'.2f' if peak < 1e4 else '.1e'}}"
    top = _flat_tops(evidence.candidate.mono)
    if peak > 0.01 and top > 1e-3 and not _topped(evidence):
        return f"flat tops: {top:.2%} of the samples are at the peak of {peak:.2f}"
    return ""


def _flat_tops(samples: Samples) -> float:
    """Share of the samples that are at the peak, beside another that is there as well."""
    if samples.size < 2:
        return 0.0
    top = np.abs(samples) >= 0.9999 * np.abs(samples).max()
    beside = np.zeros(top.size + 2, bool)
    beside[:-2] |= top
    beside[2:] |= top
    return float((top & beside[1:-1]).mean())


def _topped(evidence: Evidence) -> bool:
    """Whether the reference is flat at its peak, too, as a slow wave of few samples is."""
    reference = evidence.reference
    return reference is not None and _flat_tops(reference.mono) > 1e-3


def overflow(evidence: Evidence) -> str:
    """Integers that were too large, and went on at the other end of the scale."""
    waveform, reference = evidence.waveform, evidence.reference
    if waveform is None or reference is None or not same(evidence):
        return ""
    a, b = overlap(reference.mono, evidence.candidate.mono, waveform.lag_samples)
    a = a * np.sign(waveform.gain)
    other = (np.abs(b) > 0.5) & (a * b < 0) & (np.abs(a) > 0.1)
    jumps = other[1:] & (np.abs(np.diff(b)) > 1.2)
    if jumps.sum() < 2 or number(evidence, "peak") > 1.0001:
        return ""
    return f"integers overflow: {int(other.sum()):,} samples are at the other end of the scale"


def level(evidence: Evidence) -> str:
    """A gain that is not the same all the time: frames agree but for their size."""
    waveform, reference = evidence.waveform, evidence.reference
    if waveform is None or reference is None or not same(evidence) or waveform.snr_db > 40:
        return ""
    if waveform.drift_corrected:
        return ""
    a, b = overlap(reference.mono, evidence.candidate.mono, waveform.lag_samples)
    size = evidence.frame
    count = min(a.size // size, waveform.frames.size)
    agree = waveform.frames[:count] > 0.99
    if agree.sum() < max(AGREEING, 0.5 * (~np.isnan(waveform.frames[:count])).sum()):
        return ""
    x, y = (side[: count * size].reshape(count, size)[agree] for side in (a, b))
    x = x - x.mean(axis=1, keepdims=True)
    gains = (x * y).sum(axis=1) / (x * x).sum(axis=1)
    low, high = np.percentile(np.abs(gains), (5, 95))
    if not high > 1.08 * low:
        return ""
    first, last = np.median(gains[: gains.size // 3]), np.median(gains[-(gains.size // 3) :])
    how = "falls" if last < first else "rises"
    steady = abs(spearmanr(np.arange(gains.size), gains).statistic) > 0.8
    return f"the level {how if steady else 'changes'} over time: gains of {low:.2f} to {high:.2f}"


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
    zero = runs.values == 0
    if evidence.reference is not None and same(evidence):
        zero &= _sounding(evidence, runs.starts, runs.lengths)
    else:
        zero &= (runs.starts > 0) & (runs.starts + runs.lengths < size)
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
        ours[max(0, s - lag) : max(0, s - lag + n)] for s, n in zip(starts, lengths, strict=True)
    ]
    return np.array([bool(np.abs(piece).max(initial=0.0) > 1e-3) for piece in pieces], bool)


def stuck(evidence: Evidence) -> str:
    """One value held."""
    stuck = number(evidence, "stuck_ms")
    if stuck <= NOTED_MS or number(evidence, "clipped_share") > 1e-4:
        return ""
    return f"stuck: one value is held for {stuck:.1f} ms"
