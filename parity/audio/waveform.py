"""Two sounds held against one another, sample by sample as far as that goes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from parity.audio.clip import Samples
from parity.audio.judgement import Bound, Check, Judgement, worst
from parity.audio.lag import Track, best_lag, correlation, overlap, retimed, track_lag
from parity.audio.limits import STATISTICS, WAVEFORM
from parity.audio.spectrum import Spectrum, band_levels_db, median_pitch_hz

__all__ = ["Waveform", "compare_waveforms", "constant"]

Realisation = Literal["same", "other", "unknown"]

# Under this correlation, after alignment, it is another realisation.
SAME = 0.3
# Local windows that lock onto the reference tell a drifting copy from another realisation.
LOCKED_SHARE = 0.5
CORRECTED_PPM = 5.0
# Lags nearer to a whole sample than this are whole.
BETWEEN = 0.05
LAG_REACH_S = 1.0
# Another length of up to so many seconds is looked for as something lost or inserted.
LENGTH_S, MAX_APART_S = 0.005, 10.0
# Frames this far under the loudest are pauses; their correlation is noise.
ACTIVE = 10 ** (-30 / 20)
LOG_MEL_FLOOR = 1e-6
TINY = 1e-12
BAD_FRAME, GOOD_FRAME = 0.9, 0.99


@dataclass(frozen=True, slots=True, eq=False)
class Waveform:
    """The first layer: what differs between two waveforms, and what was corrected for.

    Attributes:
        checks: each number with its limit, in the order in which they are measured.
        realisation: whether both came from the same random draws: `same`, `other` or, where one
            is silent, `unknown`.
        judgement: of the layer.
        lag_samples: how much later the candidate is; negative for earlier.
        gain: least squares, candidate over reference, with its sign, over the frames that agree.
        offset: a constant that the candidate has more, likewise.
        drift_ppm: how much slower the candidate's clock is; NaN where it cannot be told.
        drift_corrected: whether what follows was measured after correcting the drift.
        correlation: after alignment.
        correlation_unaligned: as a plain comparison would have it.
        snr_before_db: after alignment, before gain.
        snr_db: after all corrections.
        frames: correlation in each 80 ms frame, NaN in pauses, `[frames]`.
        frame_errors: root mean square of the error of each frame over the reference's overall
            level, `[frames]`.
        first_bad_frame: the first with a correlation below 0.9; -1 where there is none.
        frame_samples: how long a frame is.
        boundary_error: mean square of the error near chunk boundaries over that elsewhere; 1 where
            boundaries are as good as the rest.
        track: the lag, window by window.
        channel: which channel is shown, the worst of several.
    """

    checks: tuple[Check, ...]
    realisation: Realisation
    judgement: Judgement
    lag_samples: int = 0
    gain: float = math.nan
    offset: float = math.nan
    drift_ppm: float = math.nan
    drift_corrected: bool = False
    correlation: float = math.nan
    correlation_unaligned: float = math.nan
    snr_before_db: float = math.nan
    snr_db: float = math.nan
    frames: Samples = field(default_factory=lambda: np.zeros(0))
    frame_errors: Samples = field(default_factory=lambda: np.zeros(0))
    first_bad_frame: int = -1
    frame_samples: int = 0
    boundary_error: float = math.nan
    track: Track | None = None
    channel: int = 0

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that fail."""
        return tuple(check for check in self.checks if check.judgement is Judgement.FAIL)


def compare_waveforms(
    reference: Samples,
    candidate: Samples,
    rate: int,
    *,
    spectra: tuple[Spectrum, Spectrum],
    frame: int,
    seeded: bool | None = None,
    limits: Mapping[str, Bound] = WAVEFORM,
    statistics: Mapping[str, Bound] = STATISTICS,
    nonfinite: int = 0,
) -> Waveform:
    """Compare two finite waveforms.

    Args:
        reference: `[samples]`.
        candidate: `[samples]`.
        rate: of both, samples a second.
        spectra: of both.
        frame: samples of a frame, which is also the distance of chunk boundaries.
        seeded: whether both had the same random draws; None to find out. Of another realisation a
            seeded comparison fails, an unseeded one is judged by statistics, and one of which
            nobody knows is inconclusive.
        limits: for the same realisation.
        statistics: for another.
        nonfinite: how many samples of the candidate were NaN or infinite, and are zero here.
    """
    loudest = float(np.abs(candidate).max(initial=0))
    if reference.size < frame or constant(reference):
        return Waveform((), "unknown", Judgement.INVALID)
    first = [
        _check("nonfinite", nonfinite, limits),
        _length(reference, candidate, rate, limits),
    ]
    if candidate.size < frame or constant(candidate):
        words = "shorter than a frame" if candidate.size < frame else "without sound"
        silent = Check("waveform", "peak", loudest, Judgement.FAIL, words=words)
        return Waveform((*first, silent), "unknown", Judgement.FAIL)
    apart = abs(candidate.size - reference.size)
    reach = int(LAG_REACH_S * rate) + (apart if apart < MAX_APART_S * rate else 0)
    lag = best_lag(reference, candidate, min(reach, max(reference.size, 2)))
    # Where one is longer, the lag may jump by as much.
    further = apart if LENGTH_S * rate < apart < MAX_APART_S * rate else 0
    track = track_lag(reference, candidate, rate, lag, further=further)
    a, b = overlap(reference, candidate, lag)
    clock = _clock(reference, candidate, track) if track.starts.size >= 4 else None
    if clock is not None:
        b, lag, drift = clock
        a = reference[: b.size]
        track = replace(track, drift_ppm=drift)
    aligned = correlation(a, b)
    plain = correlation(*overlap(reference, candidate, 0))
    if seeded is False or not abs(aligned) >= SAME:
        told = _statistics(reference, candidate, rate, spectra, statistics)
        return _other(
            first, told, seeded=seeded, lag=lag, aligned=aligned, plain=plain, track=track
        )
    drifts = clock is not None and abs(track.drift_ppm) > CORRECTED_PPM
    return _same(
        first, a, b, lag=lag, aligned=aligned, plain=plain, track=track, spectra=spectra,
        frame=frame, limits=limits, drifts=drifts,
    )  # fmt: skip


def constant(samples: Samples) -> bool:
    """Whether all samples are equal, as in silence; so they are where there is none."""
    return not samples.size or not np.ptp(samples)


def _clock(
    reference: Samples, candidate: Samples, track: Track
) -> tuple[Samples, int, float] | None:
    """The candidate retimed, its lag and its drift, where its clock is another or between samples.

    Only a lag that changes evenly is a clock; and only what makes the error smaller is kept.
    """
    start, between = track.at_start, abs(track.at_start - round(track.at_start))
    if not track.steady or (abs(track.drift_ppm) <= CORRECTED_PPM and between < BETWEEN):
        return None
    moved, lag, drift = retimed(reference, candidate, lag=start, drift_ppm=track.drift_ppm)
    before = abs(correlation(*overlap(reference, candidate, round(start))))
    if not abs(correlation(reference[: moved.size], moved)) > before:
        return None
    return moved, round(lag), drift


def _check(name: str, value: float, limits: Mapping[str, Bound], words: str = "") -> Check:
    bound = limits.get(name, Bound())
    return Check("waveform", name, float(value), bound.judge(value), bound.words, words=words)


def _length(
    reference: Samples, candidate: Samples, rate: int, limits: Mapping[str, Bound]
) -> Check:
    ours, theirs = reference.size / rate, candidate.size / rate
    bound = limits.get("length_s", Bound())
    good = bound.judge(theirs) is not Judgement.FAIL and bound.near(theirs, ours)
    limit = f"within {bound.apart:g} s of the reference" if bound.apart < math.inf else ""
    judgement = Judgement.PASS if good else Judgement.FAIL
    return Check("waveform", "length_s", theirs, judgement, limit, reference=ours)


def _other(
    first: list[Check],
    told: list[Check],
    *,
    seeded: bool | None,
    lag: int,
    aligned: float,
    plain: float,
    track: Track,
) -> Waveform:
    """Another realisation: only what survives other noise is judged."""
    kept = [check for check in first if check.name != "length_s"]
    found = worst(check.judgement for check in (*kept, *told))
    if seeded:
        strange = Check(
            "waveform", "correlation", aligned, Judgement.FAIL, f"at least {SAME:g}",
            words="not the same realisation, though the same random draws were given",
        )  # fmt: skip
        kept, found = [*kept, strange], Judgement.FAIL
    elif seeded is None and found is not Judgement.FAIL:
        found = Judgement.INCONCLUSIVE
    same: Realisation = "same" if abs(aligned) >= SAME else "other"
    return Waveform(
        (*kept, *told), same, found, lag_samples=lag, correlation=aligned,
        correlation_unaligned=plain, track=track,
    )  # fmt: skip


def _statistics(
    reference: Samples,
    candidate: Samples,
    rate: int,
    spectra: tuple[Spectrum, Spectrum],
    limits: Mapping[str, Bound],
) -> list[Check]:
    levels = [_active_level_db(x, int(0.02 * rate)) for x in (reference, candidate)]
    pitches = [median_pitch_hz(x, rate) for x in (reference, candidate)]
    found = [
        _check("duration_ratio", candidate.size / reference.size, limits),
        _check("long_term_db", _band_distance_db(*spectra, relative=True), limits),
        _check("level_db", levels[1] - levels[0], limits),
    ]
    # Without a voice there is no pitch to compare, unless one side has one.
    if not np.isnan(pitches).all():
        found.append(_check("pitch_ratio", pitches[1] / pitches[0], limits))
    return found


def _active_level_db(samples: Samples, frame: int) -> float:
    """Level of the frames that are not pauses."""
    count = samples.size // frame
    levels = np.sqrt((samples[: count * frame].reshape(count, frame) ** 2).mean(axis=1))
    active = levels[levels > ACTIVE * levels.max(initial=0)]
    return float(20 * np.log10(np.sqrt((active**2).mean()) + TINY)) if active.size else -240.0


def _band_distance_db(reference: Spectrum, candidate: Spectrum, *, relative: bool = False) -> float:
    """Largest difference of the long-term spectra in any band; of their shapes if `relative`."""
    apart = band_levels_db(candidate) - band_levels_db(reference)
    return float(np.abs(apart - apart.mean() if relative else apart).max())


def _same(
    first: list[Check],
    a: Samples,
    b: Samples,
    *,
    lag: int,
    aligned: float,
    plain: float,
    track: Track,
    spectra: tuple[Spectrum, Spectrum],
    frame: int,
    limits: Mapping[str, Bound],
    drifts: bool,
) -> Waveform:
    before = _snr_db(a, b - a)
    gain, offset = _straight(a, b, frame)
    error = (b - offset) / gain - a
    peak = float(np.abs(a).max())
    rows_a, rows_e = _rows(a, frame), _rows(error, frame)
    frames = _frame_correlations(rows_a, rows_e)
    active = ~np.isnan(frames)
    checks = [
        *first,
        _check("lag_samples", lag, limits),
        _check("gain", gain, limits, "the sign is flipped" if gain < 0 else ""),
        _check("offset", offset, limits),
        _check("snr_before_db", before, {}),
        _check("snr_db", _snr_db(a, error), limits),
        _check("segment_correlation", float(np.median(frames[active])), limits),
        _check("worst_segment_correlation", float(frames[active].min()), limits),
        *([_check("drift_ppm", track.drift_ppm, limits)] if track.starts.size >= 4 else []),
        _check("peak_error", float(np.abs(error).max()) / peak, limits),
        _check("peak_error_in_pauses", _pause_error(rows_e, active) / peak, limits),
        _check("log_mel_db", _log_mel_distance_db(*spectra, lag, gain, a.size), limits),
        _check("long_term_db", _band_distance_db(*_levelled(spectra, gain)), limits),
    ]
    bad = np.flatnonzero(active & ~(frames >= BAD_FRAME))
    level = float(np.sqrt((a @ a) / a.size))
    return Waveform(
        tuple(checks), "same", worst(check.judgement for check in checks),
        lag_samples=lag, gain=gain, offset=offset,
        drift_ppm=track.drift_ppm, drift_corrected=drifts,
        correlation=aligned, correlation_unaligned=plain,
        snr_before_db=before, snr_db=_snr_db(a, error), frames=frames,
        frame_errors=np.sqrt((rows_e**2).mean(axis=1)) / level,
        first_bad_frame=int(bad[0]) if bad.size else -1, frame_samples=frame,
        boundary_error=_boundary_error(rows_e), track=track,
    )  # fmt: skip


def _straight(a: Samples, b: Samples, frame: int) -> tuple[float, float]:
    """Gain and offset of the straight line from `a` to `b`, by least squares.

    Where a part is lost or is another sound, only the frames that agree say what the gain is.
    """
    gain = float(((a - a.mean()) @ b) / max(float((a - a.mean()) @ a), TINY))
    rows_a, rows_b = _rows(a, frame), _rows(b, frame)
    found = np.abs(_frame_correlations(rows_a, rows_b - rows_a))
    agree, active = found >= GOOD_FRAME, ~np.isnan(found)
    if 3 <= agree.sum() < active.sum():
        x, y = (rows[agree] - rows[agree].mean(axis=1, keepdims=True) for rows in (rows_a, rows_b))
        gain = float((x * y).sum() / max(float((x * x).sum()), TINY))
    if gain == 0:
        gain = TINY
    return gain, float(np.median(b - gain * a)) if _shifted(a, b, gain) else 0.0


def _shifted(a: Samples, b: Samples, gain: float) -> bool:
    """Whether the rest is a constant for the most part; an asymmetric error is none."""
    rest = b - gain * a
    return bool(np.median(rest) ** 2 > 0.25 * float((rest @ rest) / rest.size))


def _rows(samples: Samples, frame: int) -> Samples:
    count = max(1, samples.size // frame)
    return (
        np.resize(samples, (1, samples.size))
        if samples.size < frame
        else samples[: count * frame].reshape(count, frame)
    )


def _frame_correlations(rows: Samples, errors: Samples) -> Samples:
    """Correlation of each frame with its erroneous self; NaN in pauses, 0 for constant ones."""
    levels = np.sqrt((rows**2).mean(axis=1))
    ours = rows - rows.mean(axis=1, keepdims=True)
    theirs = rows + errors
    theirs -= theirs.mean(axis=1, keepdims=True)
    norms = np.sqrt((ours**2).sum(axis=1) * (theirs**2).sum(axis=1))
    found = (ours * theirs).sum(axis=1) / np.maximum(norms, TINY)
    return np.where(levels > ACTIVE * levels.max(), found, np.nan)


def _snr_db(signal: Samples, error: Samples) -> float:
    """Power of the signal over that of the error; infinite where they agree exactly."""
    noise = float(error @ error)
    return 10 * math.log10(float(signal @ signal) / noise) if noise > 0 else math.inf


def _pause_error(errors: Samples, active: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    return float(np.abs(errors[~active]).max(initial=0.0))


def _levelled(spectra: tuple[Spectrum, Spectrum], gain: float) -> tuple[Spectrum, Spectrum]:
    reference, candidate = spectra
    return reference, replace(candidate, power=candidate.power / gain**2)


def _log_mel_distance_db(
    reference: Spectrum, candidate: Spectrum, lag: int, gain: float, length: int
) -> float:
    """Mean difference of the mel spectrograms over frames and bands.

    What lies 60 dB under the reference's loudest counts as silence: differences there are not
    heard, and would outweigh all others.
    """
    hop = 2 * (reference.frequencies_hz[-1]) * reference.hop_s
    shift = round(lag / hop)
    ours, theirs = reference.mel[max(0, -shift) :], candidate.mel[max(0, shift) :] / gain**2
    count = min(len(ours), len(theirs), max(1, int(length / hop)))
    floor = reference.mel.max() * LOG_MEL_FLOOR
    logs = [10 * np.log10(np.maximum(m[:count], floor)) for m in (ours, theirs)]
    return float(np.abs(logs[0] - logs[1]).mean())


def _boundary_error(errors: Samples, near: float = 0.0125) -> float:
    """Mean square error in the first and last 1.25 % of each frame, over that of the rest."""
    edge = max(1, int(near * errors.shape[1]))
    if len(errors) < 6 or errors.shape[1] < 8 * edge:
        return math.nan
    # How it begins and ends is another matter.
    errors = errors[1:-1]
    power = (errors**2).mean(axis=0)
    inner = float(power[edge:-edge].mean())
    outer = float(np.concatenate((power[:edge], power[-edge:])).mean())
    return outer / inner if inner > 0 else math.nan
