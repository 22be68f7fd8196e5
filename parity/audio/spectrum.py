"""Magnitudes over time and frequency: mel spectrograms, long-term spectra, bands, pitch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.fft import irfft, rfft

from parity.audio.clip import Samples

__all__ = ["BANDS_HZ", "Spectrum", "band_levels_db", "median_pitch_hz", "mel_filters", "spectrum"]

FRAME_S, HOP_S = 0.043, 0.010
MELS = 80
# Flatness is that of speech, whatever the rate it is stored at.
FLAT_HZ = 6000
BLOCK = 2048
# Speech: rumble of the voice, first and second formants, presence, sibilants, air.
BANDS_HZ = (80, 300, 1000, 2500, 4000, 6000, 8000, 10000, 12000)
TINY = 1e-12
PITCH_HZ = (60.0, 400.0)
PITCH_FRAMES = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """The short-time spectrum of a sound, reduced to what is compared.

    Attributes:
        mel: power by mel band, `[frames, mels]`.
        power: mean power by frequency, `[bins]`.
        frequencies_hz: of the bins, `[bins]`.
        flatness: of each frame, geometric over arithmetic mean of its power up to 6 kHz,
            `[frames]`.
        level: sum of each frame's magnitudes, `[frames]`.
        hop_s: from one frame to the next.
    """

    mel: Samples
    power: Samples
    frequencies_hz: Samples
    flatness: Samples
    level: Samples
    hop_s: float


def spectrum(samples: Samples, rate: int) -> Spectrum:
    """The short-time spectrum, frames of about 43 ms each 10 ms, Hann window.

    Args:
        samples: `[samples]`; shorter than a frame is filled up with zeros.
        rate: samples a second.
    """
    size = 1 << int(np.ceil(np.log2(FRAME_S * rate * 0.75)))
    hop = max(1, round(HOP_S * rate))
    padded = np.pad(samples, (0, max(0, size - samples.size)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    window, filters = np.hanning(size + 1)[:-1].astype(np.float32), mel_filters(rate, size)
    mel, flatness, level, total = [], [], [], np.zeros(size // 2 + 1)
    for start in range(0, len(frames), BLOCK):
        # Single precision: twice as fast, and its noise lies 140 dB down.
        magnitude = np.abs(rfft(frames[start : start + BLOCK].astype(np.float32) * window))
        power = magnitude**2
        total += power.sum(axis=0)
        mel.append(power @ filters)
        low = power[:, : 1 + int(FLAT_HZ * size / rate)] + TINY
        flatness.append(np.exp(np.log(low).mean(axis=1)) / low.mean(axis=1))
        level.append(magnitude.sum(axis=1))
    return Spectrum(
        mel=np.concatenate(mel).astype(np.float64),
        power=total / len(frames),
        frequencies_hz=np.arange(size // 2 + 1) * rate / size,
        flatness=np.concatenate(flatness).astype(np.float64),
        level=np.concatenate(level).astype(np.float64),
        hop_s=hop / rate,
    )


@lru_cache(maxsize=8)
def mel_filters(rate: int, size: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Triangles on the mel scale of O'Shaughnessy, 2595 log10(1 + f/700): `[bins, mels]`."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, MELS + 2) / 2595) - 1)
    f = np.arange(size // 2 + 1)[:, None] * rate / size
    low, mid, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.maximum(0, np.minimum((f - low) / (mid - low), (high - f) / (high - mid)))
    return np.asarray(triangles, np.float32)


def band_levels_db(found: Spectrum, floor_db: float = -70.0) -> Samples:
    """Mean power in each of `BANDS_HZ` below half the rate, in decibels, `[bands]`.

    Args:
        found: a spectrum.
        floor_db: bands this far under the loudest count as empty.
    """
    f = found.frequencies_hz
    pairs = [(a, b) for a, b in pairwise(BANDS_HZ) if a < f[-1]]
    means = [found.power[(f >= a) & (f < b)].mean() for a, b in pairs]
    levels = 10 * np.log10(np.array(means) + TINY)
    return np.asarray(np.maximum(levels, levels.max(initial=-120.0) + floor_db))


def median_pitch_hz(samples: Samples, rate: int) -> float:
    """Median fundamental of the voiced frames, by autocorrelation; NaN where none is voiced.

    Frames of 50 ms; voiced where the normalised autocorrelation has a peak above 0.5.
    """
    size = int(0.05 * rate)
    if samples.size < size:
        return float("nan")
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[:: size // 2]
    frames = frames[:: max(1, len(frames) // PITCH_FRAMES)]
    frames = frames - frames.mean(axis=1, keepdims=True)
    energy = (frames**2).sum(axis=1)
    frames = frames[energy > 0.05 * energy.max()]
    if not len(frames):
        return float("nan")
    transform = rfft(frames, 2 * size)
    auto = irfft(np.abs(transform) ** 2, 2 * size)[:, :size]
    auto /= np.maximum(auto[:, :1], TINY)
    # Fewer products enter at larger lags.
    auto /= 1 - np.arange(size) / size
    first, last = int(rate / PITCH_HZ[1]), min(int(rate / PITCH_HZ[0]), size // 2)
    region = auto[:, first:last]
    best = region.max(axis=1)
    # The shortest lag that is nearly as good: a multiple of the period fits as well.
    lag = first + np.argmax(region > 0.9 * best[:, None], axis=1)
    voiced = best > 0.5
    return float(np.median(rate / lag[voiced])) if voiced.any() else float("nan")
