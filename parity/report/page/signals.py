"""Sounds for a page: what the browser plays, and the spectrogram beside it."""

from __future__ import annotations

import base64
import io
import wave
from typing import Any

import numpy as np

from parity.report.numbers import size
from parity.report.page.evidence import Sound
from parity.report.page.packing import image, levels
from parity.report.places import named

__all__ = ["player", "spectrogram_db"]

Array = np.ndarray[Any, np.dtype[Any]]
FULL_SCALE = 32767  # of 16 bits
WINDOW = 1024  # samples of one spectrum
FRAMES, BANDS = 320, 96  # of a spectrogram
LOWEST_HZ = 60.0
RANGE_DB = 80.0  # below the loudest of the reference


def player(sound: Sound, most_bytes: int) -> dict[str, Any]:
    """Both sides as WAV files and pictures, cut so that they take at most `most_bytes` together."""
    longest = max(sound.reference.size, sound.candidate.size)
    kept = min(longest, most_bytes // 4)  # two bytes a sample and side
    sides = [sound.reference[:kept], sound.candidate[:kept]]
    spectra = [
        spectrogram_db(side, sound.sample_rate, longest=min(longest, kept)) for side in sides
    ]
    top = float(np.max(spectra[0], initial=-200.0))
    return {
        "title": named(sound.title),
        "rate": sound.sample_rate,
        "seconds": kept / sound.sample_rate,
        "sources": [_data_uri(side, sound.sample_rate) for side in sides],
        "lengths": [
            f"{s.size / sound.sample_rate:.2f} s" for s in (sound.reference, sound.candidate)
        ],
        "notes": _notes(sound, kept),
        "pictures": {
            "rate": sound.sample_rate,
            "seconds": kept / sound.sample_rate,
            "hertz": [LOWEST_HZ, sound.sample_rate / 2],
            "rows": BANDS,
            "columns": [int(s.shape[1]) for s in spectra],
            "spectra": [image(levels(s[::-1], top - RANGE_DB, top)) for s in spectra],
        },
    }


def _notes(sound: Sound, kept: int) -> list[str]:
    notes = []
    longest = max(sound.reference.size, sound.candidate.size)
    if kept < longest:
        seconds = kept / sound.sample_rate
        notes.append(
            f"The first {seconds:.1f} s of {longest / sound.sample_rate:.1f} s, so that the page "
            "stays small."
        )
    for side, samples in (("reference", sound.reference), ("candidate", sound.candidate)):
        lost = int((~np.isfinite(samples)).sum())
        peak = float(np.max(np.abs(samples[np.isfinite(samples)]), initial=0.0))
        if lost:
            notes.append(f"{lost:,} samples of the {side} are not finite, and play as silence.")
        if peak > 1:
            notes.append(f"The {side} peaks at {size(peak)} of full scale, and is clipped here.")
    return notes


def _data_uri(samples: Array, rate: int) -> str:
    """Samples of shape `(n,)` as a WAV file of 16 bits within a `data:` address."""
    clipped = np.clip(np.nan_to_num(samples, posinf=0.0, neginf=0.0), -1.0, 1.0)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(clipped * FULL_SCALE).astype("<i2").tobytes())
    return "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode()


def spectrogram_db(samples: Array, rate: int, *, longest: int) -> Array:
    """Power in decibels, of Hann windows along time and of bands that widen with frequency.

    Args:
        samples: of shape `(n,)`.
        rate: in hertz.
        longest: samples that `FRAMES` windows cover, so that sides of other lengths line up.

    Returns:
        float64 `(BANDS, frames)`, lowest band first.
    """
    finite = np.nan_to_num(samples.astype(np.float64), posinf=0.0, neginf=0.0)
    hop = max(longest // FRAMES, 1)
    padded = np.pad(finite, (WINDOW // 2, WINDOW))
    starts = np.arange(0, max(finite.size, 1), hop)
    window = np.hanning(WINDOW)
    power = np.stack([np.abs(np.fft.rfft(padded[s : s + WINDOW] * window)) ** 2 for s in starts], 1)
    edges = np.geomspace(LOWEST_HZ, rate / 2, BANDS + 1) / rate * WINDOW
    low = np.minimum(edges[:-1].astype(int), WINDOW // 2)
    bands = [
        power[i : max(j, i + 1)].mean(axis=0)
        for i, j in zip(low, edges[1:].astype(int), strict=True)
    ]
    decibels: Array = 10 * np.log10(np.maximum(np.stack(bands), 1e-20))
    return decibels
