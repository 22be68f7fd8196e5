"""The result of a run as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from parity import __version__
from parity.report.diagnosis_json import diagnosis_to_dict
from parity.report.listening_json import listening_to_dict, speech_to_dict
from parity.report.machine import to_dict as diff_to_dict
from parity.report.words import headline
from parity.run.result import CaptureState, Comparison, RunResult, SpeechSpeed

__all__ = ["to_dict", "to_json", "why_to_dict"]

JSON_VERSION = 1


def to_dict(result: RunResult) -> dict[str, Any]:
    """The run as JSON values, every comparison with all its rows."""
    return {
        "format": "parity-run",
        "version": JSON_VERSION,
        "parity": __version__,
        "subject": result.subject,
        "exit_status": result.exit_status,
        "holds": result.holds,
        "speech": {name: speech_to_dict(speech) for name, speech in result.speech.items()},
        "comparisons": [_comparison(comparison) for comparison in result.comparisons],
    }


def to_json(result: RunResult, more: Mapping[str, Any] | None = None) -> str:
    """The run as one JSON document, with further keys where some are given."""
    return json.dumps(
        to_dict(result) | dict(more or {}), allow_nan=False, ensure_ascii=False, default=str
    )


def _comparison(comparison: Comparison) -> dict[str, Any]:
    diff, heard = comparison.diff, comparison.listening
    return {
        "case": comparison.case,
        "candidate": comparison.candidate,
        "exit_status": comparison.exit_status,
        "headline": headline(diff) if diff else comparison.capture.problem,
        "captures": {
            "reference": _capture(comparison.reference),
            "candidate": _capture(comparison.capture),
        },
        "reports": {kind: str(path) for kind, path in comparison.reports.items()},
        "speed": {side: _speed(speed) for side, speed in comparison.speed.items()},
        "diff": diff_to_dict(diff) if diff else None,
        **why_to_dict(comparison),
        "listening": listening_to_dict(heard) if heard is not None else None,
        "unheard": comparison.unheard,
    }


def why_to_dict(comparison: Comparison) -> dict[str, Any]:
    """The diagnosis as JSON values, and the reason if there is none."""
    found = comparison.diagnosis
    return {
        "diagnosis": diagnosis_to_dict(found) if found is not None else None,
        "undiagnosed": comparison.undiagnosed,
    }


def _speed(speed: SpeechSpeed) -> dict[str, float]:
    return {
        "audio_s": speed.audio_s,
        "run_s": speed.run_s,
        "first_audio_s": speed.first_audio_s,
        "real_time_factor": speed.real_time_factor,
    }


def _capture(state: CaptureState) -> dict[str, Any]:
    return {
        "path": str(state.path),
        "reused": state.reused,
        "seconds": state.seconds,
        "problem": state.problem,
    }
