"""Sound at the wrong time: late, drifting, cut, in another order."""

from __future__ import annotations

import numpy as np

from parity.audio.clip import Samples
from parity.audio.evidence import Evidence, number, same
from parity.audio.lag import correlation
from parity.audio.waveform import Waveform

__all__ = ["drift", "elsewhere", "late", "length", "misplaced", "order"]

TINY = 1e-12
# Lags that jump by more are no noise of the measurement; a clock that is wrong by more is no clock.
JUMP, CLOCK_PPM = 1.5, 6000
SHOWN, MOST_FRAMES = 3, 4000


def order(evidence: Evidence) -> str:
    """Frames in another order, or each backwards: found again one by one."""
    reference, waveform, frame = evidence.reference, evidence.waveform, evidence.frame
    if reference is None or waveform is None or waveform.correlation > 0.8:
        return ""
    count = min(reference.mono.size, evidence.candidate.mono.size) // frame
    if count < 6 or number(evidence, "peak") == 0:
        return ""
    ours = _unit(reference.mono[: count * frame].reshape(count, frame)[:400])
    theirs = _unit(evidence.candidate.mono[: count * frame].reshape(count, frame)[:400])
    there = np.abs(ours @ theirs.T)
    loud = np.flatnonzero(np.abs(ours).max(axis=1) > 0)
    if not loud.size:
        return ""
    moved = (there[loud].argmax(axis=1) != loud) & (there[loud].max(axis=1) > 0.95)
    places = (there[loud].argmax(axis=1) - loud)[moved]
    # All moved by the same: something is lost or inserted before them.
    scattered = (
        moved.any()
        and np.unique(places).size > 1
        and np.bincount(places - places.min()).max() < 0.8 * places.size
    )
    # Each further along than the one before: parts are lost, and the rest is in order.
    steps = np.diff(places)
    ordered = max((steps <= 0).mean(), (steps >= 0).mean()) > 0.9 if steps.size else True
    if scattered and not ordered and moved.mean() > 0.2:
        return f"frames are in another order ({int(moved.sum())} of {loud.size} found elsewhere)"
    back = (ours * theirs[:, ::-1]).sum(axis=1)[loud] > 0.95
    if back.mean() > 0.5:
        return "each frame is played backwards"
    whole = (
        correlation(reference.mono, evidence.candidate.mono[::-1][: reference.mono.size])
        if (reference.mono.size == evidence.candidate.mono.size)
        else 0.0
    )
    return "the sound is played backwards" if whole > 0.95 else ""


def _unit(rows: Samples) -> Samples:
    rows = rows - rows.mean(axis=1, keepdims=True)
    norms = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    return np.where(norms > 1e-2 * norms.max(initial=TINY), rows / np.maximum(norms, TINY), 0.0)


def length(evidence: Evidence) -> str:
    """Too much or too little, at the beginning or the end."""
    if evidence.reference is None or not same(evidence):
        return ""
    rate = evidence.candidate.sample_rate
    more = (evidence.candidate.mono.size - evidence.reference.mono.size) / rate
    assert evidence.waveform is not None  # noqa: S101 - of the same realisation
    if abs(more) < 0.0799 or abs(_jumped(evidence.waveform) / rate - more) < 0.02:
        return ""
    if abs(more - evidence.waveform.lag_samples / rate) < 0.02:
        return f"{abs(more):.2f} s {'too much' if more > 0 else 'missing'} at the beginning"
    return f"{abs(more):.2f} s {'too much' if more > 0 else 'missing'} at the end"


def late(evidence: Evidence) -> str:
    """All of it too late or too early."""
    waveform = evidence.waveform
    if waveform is None or not same(evidence) or abs(waveform.lag_samples) <= 1:
        return ""
    lag, rate = waveform.lag_samples, evidence.candidate.sample_rate
    if abs(_jumped(waveform)) > JUMP and waveform.track is not None:
        # The lag that fits best is that of a part; where it begins, there may be none.
        lag = round(float(np.median(waveform.track.lags[:2])))
        if abs(lag) <= 1:
            return ""
    frames = lag / evidence.frame
    count = round(abs(frames))
    many = "1 frame" if count == 1 else f"{count} frames"
    whole = f", {many}" if frames == round(frames) else ""
    word = "late" if lag > 0 else "early"
    return f"{abs(lag):,} samples ({1e3 * abs(lag) / rate:.1f} ms{whole}) {word}"


def drift(evidence: Evidence) -> str:
    """A clock of another speed, or samples lost or inserted."""
    waveform = evidence.waveform
    if waveform is None or waveform.track is None or waveform.track.starts.size < 4:
        return ""
    track = waveform.track
    jumps = _jumps(waveform)
    if jumps and abs(sum(size for _, size in jumps)) > JUMP:
        return _lost_and_inserted(jumps, evidence.candidate.sample_rate)
    if abs(track.drift_ppm) > CLOCK_PPM:
        return ""
    if track.steady and abs(track.drift_ppm) > 50:
        per_frame = track.drift_ppm * 1e-6 * evidence.frame
        word = "slower" if per_frame > 0 else "faster"
        return (
            f"the clock drifts: {abs(track.drift_ppm):,.0f} ppm {word}, "
            f"{abs(per_frame):.2f} samples a frame"
        )
    return ""


def _jumps(waveform: Waveform) -> list[tuple[float, float]]:
    """Where in the reference the lag jumps, in samples, and by how many; none where it drifts."""
    track = waveform.track
    if track is None or track.lags.size < 4:
        return []
    steps = np.diff(track.lags)
    if not (np.abs(steps).max() > JUMP and np.median(np.abs(steps)) < 0.2):
        return []
    found: list[tuple[float, float]] = []
    hop = float(np.diff(track.starts).min())
    for at in np.flatnonzero(np.abs(steps) > 0.5):
        # Windows that span the place lie between.
        near = found and track.starts[at + 1] - found[-1][0] <= 1.5 * hop
        if near and steps[at] * found[-1][1] > 0:
            found[-1] = (found[-1][0], found[-1][1] + float(steps[at]))
        else:
            found.append((float(track.starts[at + 1]), float(steps[at])))
    return [(place, size) for place, size in found if abs(size) > JUMP]


def _jumped(waveform: Waveform) -> float:
    """By how many samples the lag jumps in all."""
    return sum(size for _, size in _jumps(waveform))


def _lost_and_inserted(jumps: list[tuple[float, float]], rate: int) -> str:
    words = []
    for place, size in jumps[:SHOWN]:
        what = "inserted" if size > 0 else "lost"
        words.append(f"{abs(size):,.0f} samples are {what} near {place / rate:.2f} s")
    more = f", and at {len(jumps) - SHOWN} more places" if len(jumps) > SHOWN else ""
    return ", ".join(words) + more


def misplaced(evidence: Evidence) -> str:
    """Single frames that hold what belongs into others."""
    reference, waveform, size = evidence.reference, evidence.waveform, evidence.frame
    if reference is None or waveform is None or not same(evidence) or waveform.lag_samples:
        return ""
    count = min(reference.mono.size, evidence.candidate.mono.size) // size
    bad = np.flatnonzero(waveform.frames[:count] < 0.9)
    if not 0 < bad.size <= 0.3 * count or count > MOST_FRAMES:
        return ""
    ours = _unit(reference.mono[: count * size].reshape(count, size))
    theirs = _unit(evidence.candidate.mono[: count * size].reshape(count, size)[bad])
    there = theirs @ ours.T
    moved = bad[there.max(axis=1) > 0.999]
    if not moved.size or moved.size < 0.5 * bad.size:
        return ""
    at = moved[0] * size / evidence.candidate.sample_rate
    many = "1 frame holds" if moved.size == 1 else f"{moved.size} frames hold"
    return f"{many} what belongs into another, the first at {at:.2f} s"


def elsewhere(evidence: Evidence) -> str:
    """Good up to some frame, and bad from there on."""
    waveform = evidence.waveform
    if waveform is None or not same(evidence) or waveform.first_bad_frame < 3:
        return ""
    active = ~np.isnan(waveform.frames)
    bad = active & ~(waveform.frames >= 0.9)
    first = waveform.first_bad_frame
    if bad[:first].any() or active[first:].sum() < 3 or bad[first:][active[first:]].mean() < 0.7:
        return ""
    seconds = first * waveform.frame_samples / evidence.candidate.sample_rate
    return f"it agrees until {seconds:.2f} s, and is another sound from there on"
