"""What listening found, as JSON values."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from parity import __version__
from parity.report.listening_words import corrections, headline

if TYPE_CHECKING:
    from parity.audio import Check, Clip, Health, Listening, Waveform
    from parity.audio.speech import Phrase, Speech

__all__ = ["listening_to_dict", "listening_to_json", "speech_to_dict"]

JSON_VERSION = 1


def listening_to_json(listening: Listening) -> str:
    """One JSON document."""
    return json.dumps(listening_to_dict(listening), allow_nan=False, ensure_ascii=False)


def listening_to_dict(listening: Listening) -> dict[str, Any]:
    """Everything but the samples; numbers that JSON cannot hold become null."""
    waveform, speech = listening.waveform, listening.speech
    return {
        "format": "parity-listening",
        "version": JSON_VERSION,
        "parity": __version__,
        "title": listening.title,
        "judgement": str(listening.judgement),
        "exit_status": listening.exit_status,
        "headline": headline(listening),
        "diagnosis": [{"name": d.name, "words": d.words} for d in listening.diagnosis],
        "notes": list(listening.notes),
        "reference": _clip(listening.reference) if listening.reference is not None else None,
        "candidate": _clip(listening.candidate),
        "waveform": _waveform(waveform, listening.first_bad_s) if waveform is not None else None,
        "speech": speech_to_dict(speech) if speech is not None else None,
        "health": _health(listening.health),
        "story": _health(listening.story),
    }


def _clip(clip: Clip) -> dict[str, Any]:
    return {
        "name": clip.name,
        "format": clip.format,
        "sample_rate_hz": clip.sample_rate,
        "channels": clip.channels,
        "seconds": clip.seconds,
    }


def _waveform(waveform: Waveform, first_bad_s: float) -> dict[str, Any]:
    return {
        "judgement": str(waveform.judgement),
        "realisation": waveform.realisation,
        "corrected": list(corrections(waveform)),
        "lag_samples": waveform.lag_samples,
        "gain": _number(waveform.gain),
        "offset": _number(waveform.offset),
        "drift_ppm": _number(waveform.drift_ppm),
        "drift_corrected": waveform.drift_corrected,
        "correlation": _number(waveform.correlation),
        "correlation_unaligned": _number(waveform.correlation_unaligned),
        "snr_before_db": _number(waveform.snr_before_db),
        "snr_db": _number(waveform.snr_db),
        "first_bad_frame": waveform.first_bad_frame if waveform.first_bad_frame >= 0 else None,
        "first_bad_s": _number(first_bad_s),
        "frame_samples": waveform.frame_samples,
        "boundary_error": _number(waveform.boundary_error),
        "channel": waveform.channel,
        "checks": [_check(check) for check in waveform.checks],
    }


def _health(health: Health) -> dict[str, Any]:
    return {
        "judgement": str(health.judgement),
        "preset": health.preset,
        "checks": [_check(check) for check in health.checks],
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "value": _number(check.value),
        "reference": _number(check.reference),
        "judgement": str(check.judgement),
        "limit": check.limit,
        "words": check.words,
    }


def speech_to_dict(speech: Speech) -> dict[str, Any]:
    """What a recogniser understood of both sides."""
    low, high = speech.interval
    return {
        "judgement": str(speech.judgement),
        "reasons": list(speech.reasons),
        "recogniser": speech.recogniser,
        "normaliser": speech.normaliser,
        "seeded": speech.seeded,
        "reference_rate": _number(speech.reference_rate),
        "candidate_rate": _number(speech.candidate_rate),
        "rise": _number(speech.rise),
        "rise_interval_95": [_number(low), _number(high)],
        "phrases": [_phrase(phrase) for phrase in speech.phrases],
    }


def _phrase(phrase: Phrase) -> dict[str, Any]:
    return {
        "name": phrase.name,
        "text": phrase.text,
        "words": phrase.words,
        **{
            side: {
                "heard": heard.text,
                "hits": heard.hits,
                "substitutions": heard.substitutions,
                "deletions": heard.deletions,
                "insertions": heard.insertions,
                "rate": _number(heard.rate),
                "problem": heard.problem,
            }
            for side, heard in (("reference", phrase.reference), ("candidate", phrase.candidate))
        },
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
