"""What can be measured on a sound by itself, one number a property."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity.audio.clip import Samples
from parity.audio.spectrum import Spectrum

__all__ = ["Runs", "constant_runs", "curvature", "measure", "samplewise", "second_difference"]

BoolArray = np.ndarray[Any, np.dtype[np.bool_]]
IntArray = np.ndarray[Any, np.dtype[np.int64]]

TINY = 1e-12
# Silence is no quieter than this: what lies below is not heard, and would stretch every range.
FLOOR = 1e-4
CLIPPED = 0.999
SILENT_DB, SILENT_ABSOLUTE_DB = -40.0, -60.0
# A click bends the curve this many times as sharply as the sharpest tenth around it, and
# so far above the quietest that it can be heard.
CLICK_TIMES, CLICK_LEAST = 15.0, 0.02
BLOCK = 4096
QUIET = 0.02
LONG_S, SHARED = 0.02, 4
# Between its tones, music is as flat as the noise of its format; no ratio of that is heard.
LEAST_FLAT = 5e-5


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Stretches of one exact value.

    Attributes:
        starts: `[runs]`, in samples.
        lengths: `[runs]`.
        values: `[runs]`.
    """

    starts: IntArray
    lengths: IntArray
    values: Samples


def constant_runs(samples: Samples, least: int = 2) -> Runs:
    """All stretches of at least `least` equal samples; samples `[samples]`."""
    ends = np.flatnonzero(np.concatenate((samples[1:] != samples[:-1], [True])))
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    kept = lengths >= least
    return Runs(starts[kept], lengths[kept], samples[starts[kept]])


def second_difference(samples: Samples) -> Samples:
    """Magnitude of the second difference, float32 `[samples - 2]`."""
    return np.abs(np.diff(samples.astype(np.float32), n=2))


def measure(
    samples: Samples, rate: int, spectrum: Spectrum, *, frame: int | None = None, nonfinite: int = 0
) -> Mapping[str, float]:
    """Everything that health has a limit for, by name.

    Args:
        samples: finite, `[samples]`, at least two.
        rate: samples a second.
        spectrum: of the samples.
        frame: samples of a decoder's frame, for what concerns chunk boundaries.
        nonfinite: how many samples were NaN or infinite, and are zero here.
    """
    peak = float(np.abs(samples).max())
    rms = math.sqrt(float(samples @ samples) / samples.size)
    bends = second_difference(samples)
    found = {
        "nonfinite": float(nonfinite),
        "peak": peak,
        "rms": rms,
        "dc": float(samples.mean()),
        "crest_db": 20 * math.log10((peak + TINY) / (rms + TINY)),
        **samplewise(samples, rate),
        **_pauses(samples, rate),
        **_spectral(spectrum),
    }
    if frame:
        found["frame_remainder"] = float(samples.size % frame)
        found["boundary_curvature"] = curvature(bends, frame)
    return found


def samplewise(samples: Samples, rate: int) -> Mapping[str, float]:
    """What single samples tell, and no longer do at another rate.

    Args:
        samples: finite, `[samples]`, at least two.
        rate: samples a second.
    """
    return {
        "clipped_share": float((np.abs(samples) >= CLIPPED).mean()),
        **_runs(samples, rate),
        "clicks": float(clicks(second_difference(samples), rate).size),
        "bits": _bits(samples, float(np.abs(samples).max())),
    }


def _runs(samples: Samples, rate: int) -> Mapping[str, float]:
    runs = constant_runs(samples)
    inner = (runs.starts > 0) & (runs.starts + runs.lengths < samples.size)
    stuck = runs.lengths[_held(samples, runs, rate)].max(initial=0)
    zero = runs.lengths[(runs.values == 0) & inner].max(initial=0)
    return {"stuck_ms": 1e3 * float(stuck) / rate, "zero_run_ms": 1e3 * float(zero) / rate}


def _held(samples: Samples, runs: Runs, rate: int) -> BoolArray:
    """Runs that are no pause: away from the middle, or a long one at a value of its own.

    Pauses of exact silence with an offset on them are held, too, but all at the same value.
    """
    away = np.abs(runs.values - np.median(samples)) > QUIET * np.abs(samples).max()
    _, which, counts = np.unique(runs.values, return_inverse=True, return_counts=True)
    alone = (counts[which] < SHARED) & (runs.lengths > LONG_S * rate)
    return np.asarray((away | alone) & (runs.values != 0))


def _pauses(samples: Samples, rate: int) -> Mapping[str, float]:
    """Silence before, after and within, by frames of 10 ms."""
    size = rate // 100
    count = max(1, samples.size // size)
    rows = (
        np.resize(samples, (count, size))
        if samples.size < size
        else samples[: count * size].reshape(count, size)
    )
    levels = 20 * np.log10(np.sqrt((rows**2).mean(axis=1)) + FLOOR)
    active = np.flatnonzero(levels > max(levels.max() + SILENT_DB, SILENT_ABSOLUTE_DB))
    # Zeros before and after are no matter of dynamics: their number would decide.
    there = np.flatnonzero(rows.any(axis=1))
    inner = levels[there[0] : there[-1] + 1] if there.size else levels
    low, high = np.percentile(inner, (5, 95))
    if not active.size:
        seconds = samples.size / rate
        return {
            "head_silence_s": seconds, "tail_silence_s": seconds, "longest_gap_s": seconds,
            "dynamics_db": float(high - low),
        }  # fmt: skip
    return {
        "head_silence_s": float(active[0]) / 100,
        "tail_silence_s": float(count - 1 - active[-1]) / 100,
        "longest_gap_s": float(np.diff(active).max(initial=1) - 1) / 100,
        "dynamics_db": float(high - low),
    }


def _spectral(found: Spectrum) -> Mapping[str, float]:
    power, f = found.power, found.frequencies_hz
    total = float(power.sum()) + TINY
    active = found.level > 0.05 * found.level.max(initial=0)
    flatness = float(np.median(found.flatness[active])) if active.any() else 1.0
    return {
        "below_60_hz_db": 10 * math.log10(float(power[f < 60].sum()) / total + TINY),
        "centroid_hz": float((f * power).sum()) / total,
        "flatness": max(flatness, LEAST_FLAT),
    }


def clicks(bends: Samples, rate: int) -> IntArray:
    """Where the curve bends so sharply, for its neighbourhood of 10 ms, that one hears a click.

    Args:
        bends: from `second_difference`.
        rate: samples a second.

    Returns:
        positions, `[clicks]`, in samples.
    """
    size = max(3, rate // 100)
    if bends.size < 2 * size:
        return np.zeros(0, np.int64)
    rank = int(0.9 * size)
    found = []
    for offset in (0, size // 2):
        rows = bends[offset : offset + (bends.size - offset) // size * size].reshape(-1, size)
        # Only rows with a sharp bend need the sort.
        sharp = np.flatnonzero(rows.max(axis=1) > CLICK_LEAST)
        for start in range(0, sharp.size, BLOCK):
            chosen = sharp[start : start + BLOCK]
            local = np.partition(rows[chosen], rank, axis=1)[:, rank]
            hits = chosen[rows[chosen].max(axis=1) > CLICK_TIMES * (local + 1e-4)]
            found.append(offset + hits * size + rows[hits].argmax(axis=1))
    places = np.unique(np.concatenate([np.zeros(0, np.int64), *found]))
    return places[np.diff(places, prepend=-size) > size // 4] + 1


def curvature(bends: Samples, frame: int) -> float:
    """How sharply the curve bends at chunk boundaries, against the sharpest tenth around them.

    The median over boundaries; NaN for fewer than four.
    """
    near = max(8, frame // 16)
    places = np.arange(frame, bends.size - near, frame)
    if places.size < 4:
        return math.nan
    around = bends[places[:, None] + np.arange(-near, near)]
    local = np.partition(around, int(0.9 * 2 * near), axis=1)[:, int(0.9 * 2 * near)]
    at = around[:, near - 2 : near].max(axis=1)
    loud = local > 0.1 * np.median(local)
    return float(np.median(at[loud] / (local[loud] + 1e-7))) if loud.any() else math.nan


def _bits(samples: Samples, peak: float) -> float:
    """Resolution: steps between the lowest and highest value, as a power of two; 24 at most."""
    levels = np.unique(samples[: 1 << 18])
    if levels.size < 2:
        return 0.0
    return min(24.0, math.log2(2 * peak / float(np.diff(levels).min()) + TINY))
