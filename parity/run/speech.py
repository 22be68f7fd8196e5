"""How fast a subject that makes sound is, read off its captures."""

from __future__ import annotations

from pathlib import Path

from parity.run.config import Audio
from parity.run.result import SpeechSpeed
from parity.store import open_capture
from parity.tensors import Role

__all__ = ["speech_speed"]


def speech_speed(path: Path, audio: Audio) -> SpeechSpeed | None:
    """The speed of the run in the capture at `path`; None if it holds no waveform or no chunk.

    Recording takes time of its own, so this compares two recorded runs and is not how fast either
    would be alone.
    """
    with open_capture(path) as capture:
        records = [record for record in capture.records if record.key.role is not Role.PARAM]
        waveforms = [r for r in records if r.key.path == audio.waveform]
        chunks = [r for r in records if r.key.path == audio.chunk and r.key.role is not Role.INPUT]
        if not waveforms or not chunks:
            return None
        began = records[0].time_s
        return SpeechSpeed(
            audio_s=waveforms[-1].spec.shape[-1] / audio.sample_rate,
            run_s=records[-1].time_s - began,
            first_audio_s=chunks[0].time_s - began,
        )
