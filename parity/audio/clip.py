"""A stretch of sound in memory, and how two of them are brought to one rate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import firwin, resample_poly

from parity.errors import InputError

__all__ = ["Clip", "Samples", "at_rate", "from_array", "without_top"]

Samples = np.ndarray[Any, np.dtype[np.float64]]

MAX_CHANNELS = 16
# 80 dB above full scale: no sound, whatever its format.
LOUDEST = 1e4
# The rates that files of speech and music have, with room on both sides.
MIN_RATE, MAX_RATE = 1000, 768_000
# Zero crossings of the filter on either side, and its window: flat up to 0.95 of the band, 80 dB
# down beyond it.
CROSSINGS, KAISER = 64, 8.0
# What every converter of rates keeps, of the highest frequency: SoX's quick ones pass 0.8 of it.
KEPT = (0.78, 0.86)


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Sound, as numbers between -1 and 1 where it is as it should be.

    Attributes:
        samples: float64 `[channels, samples]`.
        sample_rate: in hertz.
        name: where it comes from, for reports.
        format: how it was stored (`WAV PCM_16`, `float32 array`).
    """

    samples: Samples
    sample_rate: int
    name: str = ""
    format: str = ""

    @property
    def channels(self) -> int:
        """How many."""
        return int(self.samples.shape[0])

    @property
    def seconds(self) -> float:
        """How long it is."""
        return float(self.samples.shape[1] / self.sample_rate)

    @property
    def mono(self) -> Samples:
        """The mean of its channels, float64 `[samples]`."""
        mean: Samples = self.samples[0] if self.channels == 1 else self.samples.mean(axis=0)
        return mean

    def finite(self) -> Clip:
        """The same with zeros where it is NaN or infinite, so that the rest can be measured.

        Numbers beyond `LOUDEST` are brought down to it: their squares would overflow.
        """
        if np.isfinite(self.samples).all() and np.abs(self.samples).max(initial=0.0) <= LOUDEST:
            return self
        clean = np.nan_to_num(self.samples, nan=0.0, posinf=0.0, neginf=0.0)
        return replace(self, samples=np.clip(clean, -LOUDEST, LOUDEST))


def from_array(
    array: np.ndarray[Any, np.dtype[Any]], sample_rate: int, *, name: str = "array"
) -> Clip:
    """Sound from an array; integers are scaled by their type's range.

    Args:
        array: `[samples]` or `[channels, samples]`, with leading axes of one left aside; floating
            point of any width, or integers.
        sample_rate: in hertz.
        name: for reports.

    Raises:
        InputError: it is not sound: complex, of more axes, of more channels than samples.
    """
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise InputError(f"a sample rate of {sample_rate} Hz is none", where=name)
    values = _scaled(array, name)
    values = values.reshape(1) if values.ndim == 0 else values
    while values.ndim > 1 and values.shape[0] == 1:
        values = values[0]
    values = values[None] if values.ndim == 1 else values
    if values.ndim > 2 or values.shape[0] > MAX_CHANNELS:
        raise InputError(
            f"has shape {array.shape}, which is not [samples] or [channels, samples]",
            where=name,
            hint="transpose it so that time is the last axis",
        )
    return Clip(np.ascontiguousarray(values), sample_rate, name, f"{array.dtype} array")


def _scaled(array: np.ndarray[Any, np.dtype[Any]], name: str) -> Samples:
    kind = array.dtype.kind
    if kind == "u":
        half = 2.0 ** (8 * array.dtype.itemsize - 1)
        return array.astype(np.float64) / half - 1.0
    if kind == "i":
        return array.astype(np.float64) / 2.0 ** (8 * array.dtype.itemsize - 1)
    # The types of ml_dtypes (bfloat16) are of kind V and know how to become floats.
    if kind == "f" or (kind == "V" and array.dtype.names is None):
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError):
            pass
    raise InputError(f"holds {array.dtype}, which is not sound", where=name)


def at_rate(clip: Clip, sample_rate: int) -> Clip:
    """The clip at another rate, by a polyphase filter; itself where it has that rate already."""
    if clip.sample_rate == sample_rate:
        return clip
    common = gcd(clip.sample_rate, sample_rate)
    up, down = sample_rate // common, clip.sample_rate // common
    if not clip.samples.size:
        return replace(clip, sample_rate=sample_rate)
    samples = resample_poly(clip.samples, up, down, axis=1, window=_filter(max(up, down)))
    return replace(clip, samples=samples, sample_rate=sample_rate)


@lru_cache(maxsize=8)
def _filter(factor: int) -> Samples:
    taps = firwin(2 * CROSSINGS * factor + 1, 1 / factor, window=("kaiser", KAISER))
    return np.asarray(taps, np.float64)


def without_top(clip: Clip) -> Clip:
    """The clip without its highest frequencies, where converters of sample rates differ."""
    count = clip.samples.shape[1]
    if not count:
        return clip
    size = next_fast_len(count, real=True)
    share = np.linspace(0, 1, size // 2 + 1)
    kept = 0.5 + 0.5 * np.cos(np.pi * np.clip((share - KEPT[0]) / (KEPT[1] - KEPT[0]), 0, 1))
    return replace(clip, samples=irfft(rfft(clip.samples, size) * kept, size)[:, :count])
