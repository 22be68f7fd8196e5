"""OpenAI's Whisper, from a checkpoint that the user names; nothing is ever downloaded unasked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from parity.audio.recognisers import Speech16k
from parity.errors import ConfigError, MissingExtraError

__all__ = ["Whisper"]

# Greedy, in single precision, each window by itself: the same text for the same sound.
OPTIONS: dict[str, Any] = {
    "temperature": 0.0,
    "fp16": False,
    "condition_on_previous_text": False,
    "compression_ratio_threshold": None,
    "logprob_threshold": None,
    "no_speech_threshold": None,
    "without_timestamps": True,
    "verbose": None,
}


class Whisper:
    """Whisper on the processor.

    Args:
        checkpoint: a file, as `whisper.load_model` reads it; or with `fetch`, a model's name.
        language: of the speech, as Whisper names it (`en`).
        fetch: let Whisper download the model of that name.

    Raises:
        MissingExtraError: openai-whisper is not installed.
        ConfigError: the checkpoint is no file, or cannot be loaded.
    """

    name = "openai-whisper"

    def __init__(self, checkpoint: str = "", *, language: str = "en", fetch: bool = False) -> None:
        if find_spec("whisper") is None:
            raise MissingExtraError.of("whisper", needed_for="the recogniser whisper")
        # A file whose name is also a model's would be passed over for the download.
        path = Path(checkpoint).expanduser().resolve()
        if not fetch and not path.is_file():
            raise ConfigError(
                "no such checkpoint; whisper needs a file, and downloads nothing by itself",
                where=checkpoint or None,
                hint="whisper:/path/to/model.pt",
            )
        self._language = language
        self._model = _load(checkpoint if fetch else str(path))
        size = os.path.getsize(path) if path.is_file() else 0  # noqa: PTH202
        self.version = f"{version('openai-whisper')}, {path.name}, {size:,} bytes"

    def prepare(self, texts: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG002 - the interface
        """Nothing to prepare: it spells any word."""
        return ()

    def transcribe(self, samples: Speech16k) -> str:
        """What is said in `[samples]` of 16 kHz."""
        language = self._language if self._model.is_multilingual else "en"
        found = self._model.transcribe(samples.astype(np.float32), language=language, **OPTIONS)
        return str(found["text"]).strip()


def _load(name: str) -> Any:
    import whisper  # noqa: PLC0415 - loads torch

    try:
        return whisper.load_model(name, device="cpu")
    except Exception as error:
        raise ConfigError(
            f"whisper cannot load it: {type(error).__name__}: {error}", where=name
        ) from None
