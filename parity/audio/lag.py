"""Where one sound lies within another: lag, and how the lag changes over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import butter, resample, sosfiltfilt
from scipy.stats import theilslopes

from parity.audio.clip import Samples

__all__ = ["Track", "best_lag", "correlation", "overlap", "retimed", "track_lag"]

BLOCK = 1 << 17
# A window counts as found where its best correlation is above this.
LOCKED = 0.6
WINDOWS = 240
WINDOW_S, HOP_S, REACH_S = 0.5, 0.25, 0.1
# Cubic interpolation is exact enough between samples four times as dense.
FINER = 4
# Of peaks this near to the highest, the one nearest to where it was last is meant: a periodic sound
# fits at each of its periods.
NEAR_PEAK = 0.98
CUTS = (0.03, 0.03, 0.1, 0.3, 1.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """The lag of the candidate, window by window.

    Attributes:
        starts: of the windows that were found again, in samples of the reference, `[windows]`.
        lags: where they were found, in samples later, `[windows]`; negative where earlier.
        share: of the windows with sound in them, how many were found again; 0 to 1.
        drift_ppm: slope of the lag; positive where the candidate is slower. NaN if too few.
        scatter: median distance of the lags from a straight line, in samples.
    """

    starts: Samples
    lags: Samples
    share: float
    drift_ppm: float
    scatter: float

    @property
    def at_start(self) -> float:
        """The lag at the beginning, by the straight line through all, in samples."""
        return float(np.median(self.lags - self.drift_ppm * 1e-6 * self.starts))

    @property
    def steady(self) -> bool:
        """Whether the lag changes evenly, as with another clock, rather than in jumps."""
        reach = float(np.ptp(self.lags)) if self.lags.size else 0.0
        return bool(self.scatter <= max(1.0, 0.1 * reach))


def correlation(a: Samples, b: Samples) -> float:
    """Pearson's correlation of two arrays `[samples]`; NaN where one is constant."""
    if a.size < 2:
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else float("nan")


def overlap(reference: Samples, candidate: Samples, lag: int) -> tuple[Samples, Samples]:
    """The parts of both that lie on one another when the candidate is `lag` samples late."""
    reference = reference[max(0, -lag) :]
    candidate = candidate[max(0, lag) :]
    length = min(reference.size, candidate.size)
    return reference[:length], candidate[:length]


def best_lag(reference: Samples, candidate: Samples, reach: int) -> int:
    """How many samples the candidate is late: where the cross-correlation is largest in magnitude.

    The cross-spectrum is summed over blocks of the reference, so that memory and time stay those
    of a block's transform whatever the length.

    Args:
        reference: `[samples]`.
        candidate: `[samples]`.
        reach: the largest lag looked for, either way.
    """
    size = next_fast_len(BLOCK + 2 * reach, real=True)
    block = size - 2 * reach
    total = np.zeros(size // 2 + 1, np.complex128)
    mean_r, mean_c = reference.mean(), candidate.mean()
    for start in range(0, reference.size, block):
        ours = reference[start : start + block] - mean_r
        low = start - reach
        theirs = candidate[max(0, low) : start + ours.size + reach] - mean_c
        if theirs.size:
            padded = np.concatenate((np.zeros(max(0, -low)), theirs))
            total += np.conj(rfft(ours, size)) * rfft(padded, size)
    found = irfft(total, size)[: 2 * reach + 1]
    return int(np.argmax(np.abs(found))) - reach


def track_lag(
    reference: Samples, candidate: Samples, rate: int, lag: int, *, further: int = 0
) -> Track:
    """Follow the lag through the sound, in half-second windows, at most some hundreds of them.

    Args:
        reference: `[samples]`.
        candidate: `[samples]`.
        rate: samples a second.
        lag: from where to set out.
        further: samples by which it may jump, besides the usual tenth of a second.
    """
    window, reach = int(WINDOW_S * rate), int(REACH_S * rate) + further
    hop = max(int(HOP_S * rate), reference.size // WINDOWS)
    loud = _loud_enough(reference)
    starts, lags, tried, at = [], [], 0, float(lag)
    for start in range(0, reference.size - window + 1, hop):
        ours = reference[start : start + window]
        if ours.std() <= loud:
            continue
        tried += 1
        found, strength = _find(ours, candidate, start + round(at), reach)
        if strength > LOCKED:
            at = found + round(at)
            starts.append(start)
            lags.append(at)
    return _track(np.array(starts, float), np.array(lags, float), len(starts) / max(tried, 1))


def _loud_enough(reference: Samples) -> float:
    return 0.1 * float(reference.std())


def _find(ours: Samples, candidate: Samples, start: int, reach: int) -> tuple[float, float]:
    """Where, from `start` onwards, the window is found again, to a fraction of a sample."""
    theirs = candidate[max(0, start - reach) : max(0, start + ours.size + reach)]
    before = max(0, reach - start)
    if theirs.size + before < ours.size + reach:
        return 0.0, 0.0
    padded = np.zeros(ours.size + 2 * reach)
    padded[before : before + theirs.size] = theirs[: padded.size - before]
    size = next_fast_len(padded.size, real=True)
    ours = ours - ours.mean()
    found = irfft(np.conj(rfft(ours, size)) * rfft(padded, size), size)[: 2 * reach + 1]
    energy = np.concatenate(([0.0], np.cumsum(padded**2)))
    norms = np.sqrt((energy[ours.size :] - energy[: -ours.size]) * (ours**2).sum())
    scores = found / np.maximum(norms, 1e-12)
    peak = _nearest_peak(np.abs(scores), reach)
    return peak + _vertex(np.abs(scores), peak) - reach, float(abs(scores[peak]))


def _nearest_peak(scores: Samples, expected: int) -> int:
    """The local maximum nearest to `expected`, of those that are nearly the highest."""
    inner = scores[1:-1]
    high = (inner >= scores[:-2]) & (inner >= scores[2:]) & (inner > NEAR_PEAK * scores.max())
    places = np.flatnonzero(high) + 1
    if not places.size:
        return int(np.argmax(scores))
    return int(places[np.argmin(np.abs(places - expected))])


def _vertex(scores: Samples, peak: int) -> float:
    """Where the parabola through a peak and its neighbours has its vertex, -0.5 to 0.5."""
    if not 0 < peak < scores.size - 1:
        return 0.0
    left, top, right = scores[peak - 1 : peak + 2]
    bend = left - 2 * top + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def _track(starts: Samples, lags: Samples, share: float) -> Track:
    if starts.size < 3:
        return Track(starts, lags, share, float("nan"), float("nan"))
    slope, intercept = theilslopes(lags, starts)[:2]
    scatter = float(np.median(np.abs(lags - slope * starts - intercept)))
    return Track(starts, lags, share, float(slope) * 1e6, scatter)


def retimed(
    reference: Samples, candidate: Samples, *, lag: float, drift_ppm: float
) -> tuple[Samples, float, float]:
    """The candidate on the reference's clock: offset and drift, refined by least squares.

    With `c(t)` the candidate between its samples, `o` the offset and `s` the drift, the error
    `a(t) - c(o + (1 + s) t)` is linear in small changes of both, through the slope of the sound.

    Args:
        reference: `[samples]`.
        candidate: `[samples]`.
        lag: how late the candidate is at its beginning, about, in samples.
        drift_ppm: how much slower it is, about.

    Returns:
        the candidate at the reference's times, `[<= samples]`, its lag, its drift in ppm.
    """
    # By Fourier transform: a filter would take the highest frequencies away.
    fine = resample(candidate, candidate.size * FINER)
    offset, slope = lag, drift_ppm * 1e-6
    moved = _taken(fine, offset, slope, reference.size)
    for cut in CUTS:
        # Coarse waves first: fine ones are ambiguous as long as whole periods are between.
        a, b = _smooth(reference[: moved.size], cut), _smooth(moved, cut)
        scaled = b * float(a @ b) / max(float(b @ b), 1e-12)
        steepness, t = np.gradient(scaled), np.linspace(-1, 1, moved.size)
        both = np.stack((steepness, steepness * t))
        change = np.linalg.lstsq(both @ both.T, both @ (a - scaled), rcond=None)[0]
        half = 0.5 * (moved.size - 1)
        offset, slope = offset + float(change[0] - change[1]), slope + float(change[1]) / half
        moved = _taken(fine, offset, slope, reference.size)
    return moved, offset, slope * 1e6


def _smooth(samples: Samples, cut: float) -> Samples:
    """Without what lies above the share `cut` of the highest frequency."""
    if cut >= 1:
        return samples
    return np.asarray(sosfiltfilt(butter(2, cut, output="sos"), samples))


def _taken(fine: Samples, offset: float, slope: float, count: int) -> Samples:
    """The candidate at `offset + (1 + slope) t`, as far as it reaches."""
    from scipy.ndimage import map_coordinates  # noqa: PLC0415 - only where clocks differ

    places = (offset + np.arange(count) * (1 + slope)) * FINER
    moved = map_coordinates(fine, places[None], order=3, mode="constant")
    return np.asarray(moved[: int(np.searchsorted(places, fine.size - FINER))])
