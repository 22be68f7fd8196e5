"""The voice prompt: a recording whose manner of speaking the model takes on."""

from __future__ import annotations

import torch

__all__ = ["end_on_pause"]

FRAME_SECONDS = 0.02
FADE_SECONDS = 0.02
PAUSE_SECONDS = 0.08
FLOOR_DB = 35.0


def end_on_pause(audio: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Cut trailing silence, fade the last of the speech out, and add a short pause.

    Silence is every 20 ms frame more than 35 dB below the loudest. A prompt that ends within
    speech would be spoken on.

    Args:
        audio: [1, samples].
        sample_rate: in Hz.

    Returns:
        [1, samples], of another length.
    """
    frame = int(FRAME_SECONDS * sample_rate)
    frames = audio.shape[-1] // frame
    if not frames:
        return audio
    power = audio[:, : frames * frame].reshape(-1, frames, frame).square().mean(dim=(0, 2))
    level_db = 20 * torch.log10(power.sqrt() + 1e-12)
    loud = torch.nonzero(level_db > level_db.max() - FLOOR_DB)
    speech = audio[:, : (int(loud.max()) + 1) * frame]
    pause = audio.new_zeros(1, int(PAUSE_SECONDS * sample_rate))
    return torch.cat([_faded_out(speech, int(FADE_SECONDS * sample_rate)), pause], dim=-1)


def _faded_out(audio: torch.Tensor, samples: int) -> torch.Tensor:
    samples = min(samples, audio.shape[-1])
    ramp = torch.linspace(1, 0, samples, dtype=audio.dtype)
    kept = audio.shape[-1] - samples
    return torch.cat([audio[:, :kept], audio[:, kept:] * ramp], dim=-1)
