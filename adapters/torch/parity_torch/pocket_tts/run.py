"""What stays the same from the first pass of one run to the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from parity_torch.pocket_tts.model import Model
from parity_torch.pocket_tts.noise import NoiseSource
from parity_torch.pocket_tts.settings import Settings

__all__ = ["Prefill", "Run"]

Prefill = Literal["block", "token"]


@dataclass(frozen=True, slots=True)
class Run:
    """One case being spoken.

    Attributes:
        model: the loaded model.
        settings: of the case.
        noise: of the case; each pass of the language model takes one draw.
        prefill: whether prompts are read in one pass or one position after the other.
    """

    model: Model
    settings: Settings
    noise: NoiseSource
    prefill: Prefill = "block"
