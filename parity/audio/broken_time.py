"""Sound at the wrong time: late, drifting, cut, in another order."""

from __future__ import annotations

import numpy as np

from parity.audio.clip import Samples
from parity.audio.evidence import Evidence, number, same
from parity.audio.lag import correlation

__all__ = ["drift", "elsewhere", "late", "length", "order"]

TINY = 1e-12


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
    if scattered and moved.mean() > 0.2:
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
    if abs(more) <= 0.08:
        return ""
    assert evidence.waveform is not None  # noqa: S101 - of the same realisation
    if abs(more - evidence.waveform.lag_samples / rate) < 0.02:
        return f"{abs(more):.2f} s {'too much' if more > 0 else 'missing'} at the beginning"
    return f"{abs(more):.2f} s {'too much' if more > 0 else 'missing'} at the end"


def late(evidence: Evidence) -> str:
    """All of it too late or too early."""
    waveform = evidence.waveform
    if waveform is None or not same(evidence) or abs(waveform.lag_samples) <= 1:
        return ""
    lag, rate = waveform.lag_samples, evidence.candidate.sample_rate
    frames = lag / evidence.frame
    whole = f", {round(abs(frames))} frames" if frames == round(frames) else ""
    word = "late" if lag > 0 else "early"
    return f"{abs(lag):,} samples ({1e3 * abs(lag) / rate:.1f} ms{whole}) {word}"


def drift(evidence: Evidence) -> str:
    """A clock of another speed, or samples lost or inserted."""
    waveform = evidence.waveform
    if waveform is None or waveform.track is None or waveform.track.starts.size < 4:
        return ""
    track = waveform.track
    jumps = np.diff(track.lags)
    if jumps.size and np.abs(jumps).max() > 8 and np.median(np.abs(jumps)) < 1:
        at = int(np.argmax(np.abs(jumps)))
        seconds = track.starts[at + 1] / evidence.candidate.sample_rate
        what = "inserted" if jumps[at] > 0 else "lost"
        return f"{abs(jumps[at]):,.0f} samples are {what} near {seconds:.2f} s"
    if track.steady and abs(track.drift_ppm) > 50:
        per_frame = track.drift_ppm * 1e-6 * evidence.frame
        word = "slower" if per_frame > 0 else "faster"
        return (
            f"the clock drifts: {abs(track.drift_ppm):,.0f} ppm {word}, "
            f"{abs(per_frame):.2f} samples a frame"
        )
    return ""


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
