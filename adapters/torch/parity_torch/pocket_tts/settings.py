"""How one case is to be spoken, read from its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from parity.errors import InputError
from parity_torch.pocket_tts.config import Config

__all__ = ["Settings", "settings_of"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one run.

    Attributes:
        text: to speak.
        temperature: variance of the noise.
        decode_steps: jumps of the flow network for each latent.
        eos_threshold: above which the end-of-speech logit ends the speech.
        frames_after_eos: frames kept after that, or None to go by the length of the text.
        noise_clamp: bound of the noise, or None.
        min_frames: frames before which the end of speech is not believed.
        max_tokens: of one chunk of the text.
    """

    text: str
    temperature: float
    decode_steps: int
    eos_threshold: float
    frames_after_eos: int | None
    noise_clamp: float | None
    min_frames: int
    max_tokens: int


def settings_of(inputs: Mapping[str, Any], config: Config) -> Settings:
    """The settings that a case states, with the model's own for those it leaves out.

    Raises:
        InputError: the case has no text.
    """
    if not isinstance(inputs.get("text"), str):
        raise InputError("the case has no text to speak", where="inputs.text")
    return Settings(
        text=inputs["text"],
        temperature=inputs.get("temperature", config.temperature),
        decode_steps=inputs.get("decode_steps", 1),
        eos_threshold=inputs.get("eos_threshold", config.eos_threshold),
        frames_after_eos=inputs.get("frames_after_eos", config.frames_after_eos),
        noise_clamp=inputs.get("noise_clamp"),
        min_frames=inputs.get("min_frames_before_eos", 6),
        max_tokens=inputs.get("max_tokens_per_chunk", 50),
    )
