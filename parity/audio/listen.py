"""Listens to a candidate's sound beside its reference's: all layers at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.audio.clip import Clip, Samples, at_rate, from_array, without_top
from parity.audio.health import Health, judge_health
from parity.audio.judgement import Bound, Check, Judgement, worst
from parity.audio.limits import PRESETS, STATISTICS, STORY, WAVEFORM, limits_with
from parity.audio.measures import measure, samplewise
from parity.audio.pathologies import Evidence, recognise
from parity.audio.reading import load_clip
from parity.audio.result import Listening
from parity.audio.spectrum import Spectrum, spectrum
from parity.audio.waveform import Waveform, compare_waveforms, constant
from parity.errors import ConfigError, InputError

if TYPE_CHECKING:
    from parity.audio.recognisers import Recogniser

__all__ = ["Settings", "as_clip", "listen"]

Sound = Clip | str | Path | np.ndarray[Any, np.dtype[Any]]

FRAME_S = 0.08
# What nobody hears in a channel that is silent: 80 dB under full scale.
SILENT = 1e-4


@dataclass(frozen=True, slots=True)
class Settings:
    """How strictly is listened.

    Attributes:
        frame: samples of a frame of the decoder, where chunk boundaries lie, at the candidate's
            rate; None for 80 ms, with nothing asked of the boundaries.
        seeded: whether both had the same random draws; None for not known.
        preset: limits of signal health, `full` or `story`.
        limits: changes of the limits of health, by name: `{"rms": {"high": 0.5}}`.
        waveform: changes of the limits of the waveform.
        statistics: changes of the limits for another realisation.
    """

    frame: int | None = None
    seeded: bool | None = None
    preset: str = "full"
    limits: Mapping[str, Mapping[str, float]] | None = None
    waveform: Mapping[str, Mapping[str, float]] | None = None
    statistics: Mapping[str, Mapping[str, float]] | None = None

    @property
    def health(self) -> Mapping[str, Bound]:
        """The limits of health, changes applied.

        Raises:
            ConfigError: there is no such preset or limit.
        """
        if self.preset not in PRESETS:
            raise ConfigError(
                f"there is no preset {self.preset!r}", hint=f"one of {', '.join(PRESETS)}"
            )
        return limits_with(PRESETS[self.preset], self.limits or {})


def as_clip(sound: Sound, *, sample_rate: int | None = None, tap: str = "waveform") -> Clip:
    """A clip from whatever holds sound: a clip, a file's path, an array with a rate.

    Raises:
        InputError: it cannot be read, or an array comes without its rate.
    """
    if isinstance(sound, Clip):
        return sound
    if isinstance(sound, str | Path):
        return load_clip(sound, sample_rate=sample_rate, tap=tap)
    array = np.asarray(sound)
    if sample_rate is None:
        raise InputError("an array does not say its sample rate", hint="sample_rate=24000")
    return from_array(array, sample_rate)


def listen(
    reference: Sound | None,
    candidate: Sound,
    *,
    text: str = "",
    recogniser: Recogniser | str | None = None,
    normaliser: str = "basic",
    sample_rate: int | None = None,
    tap: str = "waveform",
    title: str = "",
    settings: Settings | None = None,
    **changes: Any,
) -> Listening:
    """Listen to `candidate` beside `reference`.

    Args:
        reference: a sound file, a `.npy`, a capture, an array `[samples]` or `[channels, samples]`,
            or a clip; None to examine the candidate's health alone.
        candidate: likewise.
        text: what is said; with it, a recogniser is asked whether that is understood.
        recogniser: `pocketsphinx` (the default where there is a text), `whisper:/path/model.pt`, a
            plugged-in one's name, or an object.
        normaliser: which words count as equal: `basic`, `whisper`, or a plugged-in one.
        sample_rate: of arrays and captures, in hertz.
        tap: which tensor of a capture is the sound.
        title: for reports.
        settings: how strictly; or its fields as further keyword arguments.
        **changes: fields of `Settings`.

    Raises:
        InputError: a sound cannot be read.
        ConfigError: a limit, preset, recogniser or normaliser is unknown.
        MissingExtraError: a library that is needed is not installed.
    """
    settings = replace(settings or Settings(), **changes)
    found = _listen(
        as_clip(reference, sample_rate=sample_rate, tap=tap) if reference is not None else None,
        as_clip(candidate, sample_rate=sample_rate, tap=tap),
        settings,
        title,
    )
    if not text or found.reference is None:
        return found
    from parity.audio.speech import hear  # noqa: PLC0415 - loads a recogniser

    return hear([found], [text], recogniser, normaliser, seeded=bool(settings.seeded)).listenings[0]


def _listen(reference: Clip | None, candidate: Clip, settings: Settings, title: str) -> Listening:
    limits = settings.health
    named = title or candidate.name
    if reference is None:
        return _alone(candidate, settings, limits, named)
    notes = _notes(reference, candidate)
    rate = min(reference.sample_rate, candidate.sample_rate)
    scaled = rate / candidate.sample_rate
    ours, theirs = at_rate(reference.finite(), rate), at_rate(candidate.finite(), rate)
    if reference.sample_rate != candidate.sample_rate:
        ours, theirs = without_top(ours), without_top(theirs)
    frame = max(16, round((settings.frame or FRAME_S * candidate.sample_rate) * scaled))
    raw = candidate if rate == candidate.sample_rate else theirs
    if why := _unusable(reference, ours, frame):
        alone = _alone(candidate, settings, limits, named)
        invalid = Waveform((), "unknown", Judgement.INVALID)
        return replace(alone, reference=reference, waveform=invalid, notes=(*notes, why))
    pairs = _channel_pairs(ours, theirs)
    waves = [
        _compared(one, other, rate, settings, frame=frame, nonfinite=_bad(candidate))
        for one, other in pairs
    ]
    chosen = max(range(len(waves)), key=lambda i: _rank(waves[i][0]))
    waveform, spectra = waves[chosen]
    waveform = _with_formats(replace(waveform, channel=chosen), reference, candidate)
    shown = [Clip(samples[None], rate) for samples in pairs[chosen]]
    health, reference_health, story = _healths(
        _Sound(shown[1].mono, spectra[1], _own(candidate, chosen, rate)),
        _Sound(shown[0].mono, spectra[0], _own(reference, chosen, rate)),
        rate=rate, settings=settings, limits=limits, nonfinite=_bad(candidate), frame=frame,
    )  # fmt: skip
    read = raw.samples[[min(chosen, raw.channels - 1)]]
    heard = replace(raw, samples=read)
    sides = (ours, theirs)
    diagnosis = recognise(
        Evidence(heard, shown[1], shown[0], waveform, health, spectra, frame, sides=sides)
    )
    if any(found.proves for found in diagnosis):
        waveform = _mistreated(waveform)
    return Listening(
        ours, raw, waveform, health, reference_health, story,
        diagnosis=diagnosis, notes=notes, spectra=spectra, title=named,
    )  # fmt: skip


def _rank(waveform: Waveform) -> tuple[bool, float]:
    """The worse, the higher: of several channels the worst is shown."""
    failed = waveform.judgement is Judgement.FAIL
    if math.isnan(waveform.snr_db):
        return failed, math.inf if failed else -math.inf
    return failed, -waveform.snr_db


def _compared(
    ours: Samples, theirs: Samples, rate: int, settings: Settings, *, frame: int, nonfinite: int
) -> tuple[Waveform, tuple[Spectrum, Spectrum]]:
    spectra = spectrum(ours, rate), spectrum(theirs, rate)
    if constant(ours):
        return _silent_channel(theirs), spectra
    waveform = compare_waveforms(
        ours,
        theirs,
        rate,
        spectra=spectra,
        frame=frame,
        seeded=settings.seeded,
        limits=limits_with(WAVEFORM, settings.waveform or {}),
        statistics=limits_with(STATISTICS, settings.statistics or {}),
        nonfinite=nonfinite,
    )
    return waveform, spectra


def _silent_channel(theirs: Samples) -> Waveform:
    """Of several channels, one that is silent in the reference has to be so in the candidate."""
    peak = float(np.abs(theirs).max(initial=0))
    judgement = Judgement.PASS if peak <= SILENT else Judgement.FAIL
    check = Check(
        "waveform", "peak", peak, judgement, f"at most {SILENT:g}", 0.0,
        words="" if judgement is Judgement.PASS else "the reference's channel is silent",
    )  # fmt: skip
    return Waveform((check,), "unknown", judgement)


@dataclass(frozen=True, slots=True, eq=False)
class _Sound:
    """One channel, its spectrum, and where it was brought to another rate, as it was before."""

    samples: Samples
    found: Spectrum
    own: Clip | None = None


def _own(clip: Clip, channel: int, rate: int) -> Clip | None:
    if clip.sample_rate == rate:
        return None
    clean = clip.finite()
    return replace(clean, samples=clean.samples[[min(channel, clip.channels - 1)]])


def _healths(
    theirs: _Sound,
    ours: _Sound | None,
    *,
    rate: int,
    settings: Settings,
    limits: Mapping[str, Bound],
    nonfinite: int,
    frame: int,
) -> tuple[Health, Health | None, Health]:
    asked = frame if settings.frame else None
    measured = _measured(theirs, rate, asked, nonfinite)
    own = _measured(ours, rate, asked, 0) if ours is not None else None
    return (
        judge_health(measured, own, limits=limits, preset=settings.preset),
        judge_health(own, limits=limits, preset=settings.preset) if own is not None else None,
        judge_health(measured, limits=STORY, preset="story"),
    )


def _measured(sound: _Sound, rate: int, frame: int | None, nonfinite: int) -> Mapping[str, float]:
    samples = sound.samples
    if samples.size < 2:
        peak = float(np.abs(samples).max(initial=0))
        return {
            "nonfinite": float(nonfinite),
            "peak": peak,
            "rms": peak,
            "dc": float(samples.sum()),
        }
    measured = measure(samples, rate, sound.found, frame=frame, nonfinite=nonfinite)
    if sound.own is None:
        return measured
    # A converter of rates smears what single samples tell.
    return {**measured, **samplewise(sound.own.mono, sound.own.sample_rate)}


def _alone(
    candidate: Clip, settings: Settings, limits: Mapping[str, Bound], title: str
) -> Listening:
    clean, rate = candidate.finite(), candidate.sample_rate
    frame = settings.frame or round(FRAME_S * rate)
    found = [_Sound(channel, spectrum(channel, rate)) for channel in clean.samples]
    judged = [
        _healths(
            sound,
            None,
            rate=rate,
            settings=settings,
            limits=limits,
            nonfinite=_bad(candidate),
            frame=frame,
        )
        for sound in found
    ]
    chosen = max(range(len(judged)), key=lambda i: len(judged[i][0].failed))
    (health, _, story), spectra = judged[chosen], found[chosen].found
    shown = [replace(clip, samples=clip.samples[[chosen]]) for clip in (candidate, clean)]
    evidence = Evidence(shown[0], shown[1], None, None, health, (spectra, spectra), frame)
    return Listening(
        None, candidate, None, health, None, story,
        diagnosis=recognise(evidence), spectra=(spectra,), title=title,
    )  # fmt: skip


def _unusable(reference: Clip, clean: Clip, frame: int) -> str:
    """Why a reference is no measure of anything: without sound, too short, NaN in it."""
    if bad := _bad(reference):
        return f"the reference holds {bad:,} samples that are NaN or infinite"
    if constant(clean.mono):
        return "the reference is empty or silent"
    if clean.mono.size < frame:
        return f"the reference is shorter than a frame: {clean.mono.size:,} of {frame:,} samples"
    return ""


def _bad(clip: Clip) -> int:
    return int((~np.isfinite(clip.samples)).sum())


def _channel_pairs(ours: Clip, theirs: Clip) -> list[tuple[Samples, Samples]]:
    if ours.channels == theirs.channels:
        return list(zip(ours.samples, theirs.samples, strict=True))
    return [(ours.mono, theirs.mono)]


def _notes(reference: Clip, candidate: Clip) -> tuple[str, ...]:
    notes = []
    if reference.sample_rate != candidate.sample_rate:
        low = min(reference.sample_rate, candidate.sample_rate)
        notes.append(
            f"the reference has {reference.sample_rate:,} Hz, the candidate "
            f"{candidate.sample_rate:,} Hz; compared at {low:,} Hz"
        )
    if reference.channels != candidate.channels:
        notes.append(
            f"the reference has {_many(reference.channels)}, the candidate "
            f"{_many(candidate.channels)}; their means were compared"
        )
    return tuple(notes)


def _many(channels: int) -> str:
    return "1 channel" if channels == 1 else f"{channels} channels"


def _with_formats(waveform: Waveform, reference: Clip, candidate: Clip) -> Waveform:
    """Another rate is worth a warning; other channels fail, unless they are copies of one."""
    added = []
    if reference.sample_rate != candidate.sample_rate:
        added.append(
            Check("waveform", "sample_rate_hz", candidate.sample_rate, Judgement.WARN,
                  f"{reference.sample_rate}", reference.sample_rate)
        )  # fmt: skip
    if reference.channels != candidate.channels:
        same = _copies(reference) and _copies(candidate)
        judgement = Judgement.WARN if same else Judgement.FAIL
        added.append(
            Check("waveform", "channels", candidate.channels, judgement,
                  f"{reference.channels}", reference.channels,
                  words="all channels are the same" if same else "the channels differ")
        )  # fmt: skip
    if not added or waveform.judgement in (Judgement.INVALID, Judgement.INCONCLUSIVE):
        return replace(waveform, checks=(*added, *waveform.checks))
    checks = (*added, *waveform.checks)
    return replace(waveform, checks=checks, judgement=worst(c.judgement for c in checks))


def _mistreated(waveform: Waveform) -> Waveform:
    """It only looks like another realisation: it is the reference's sound, mistreated."""
    if waveform.judgement is not Judgement.INCONCLUSIVE:
        return waveform
    words = "the reference's own samples, mistreated"
    check = Check("waveform", "correlation", waveform.correlation, Judgement.FAIL, words=words)
    return replace(waveform, checks=(*waveform.checks, check), judgement=Judgement.FAIL)


def _copies(clip: Clip) -> bool:
    return bool((clip.samples == clip.samples[:1]).all())
