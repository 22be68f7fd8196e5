"""The stage that listens to a subject that makes sound."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from parity.errors import ParityError
from parity.run.config import Audio
from parity.run.result import Comparison
from parity.store import open_capture

if TYPE_CHECKING:
    from parity.audio import Listening
    from parity.run.pipeline import Context

__all__ = ["listen_to"]


def listen_to(comparison: Comparison, context: Context) -> Comparison:
    """Stage: waveform, intelligibility and health, where the subject has `audio`.

    What keeps us from listening (a missing library, a waveform that was not captured) is said in
    the result and not raised: the tensors have been compared, and that stands by itself.
    """
    audio, settings = context.config.subject.audio, context.config.listen
    if audio is None or not settings.enabled or comparison.diff is None:
        return comparison
    context.observer.began(f"{comparison.case}: listening to {comparison.candidate}")
    try:
        return replace(comparison, listening=_heard(comparison, context, audio))
    except ParityError as error:
        return replace(comparison, unheard=str(error))


def _heard(comparison: Comparison, context: Context, audio: Audio) -> Listening:
    from parity.audio import Settings, listen, tap_clip  # noqa: PLC0415 - loads scipy

    chosen = context.config.listen
    settings = Settings(
        frame=chosen.frame or None,
        seeded=chosen.seeded,
        preset=chosen.preset,
        limits=chosen.limits,
        waveform=chosen.waveform,
    )
    with open_capture(comparison.reference.path) as reference:
        ours = tap_clip(reference, audio.waveform, audio.sample_rate)
        text = str(reference.case.inputs.get(chosen.text, "")) if reference.case else ""
    with open_capture(comparison.capture.path) as candidate:
        theirs = tap_clip(candidate, audio.waveform, audio.sample_rate)
    return listen(
        ours,
        theirs,
        text=text if chosen.recogniser else "",
        recogniser=chosen.recogniser or None,
        normaliser=chosen.normaliser,
        title=f"{comparison.candidate} on {comparison.case}",
        settings=settings,
    )
