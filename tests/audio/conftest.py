"""Speech for the tests of listening."""

from pathlib import Path

import numpy as np
import pytest

from fixtures.speech import samples

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "speech"
REAL_TEXTS = {
    "phrase_00": "Hello, this is a test of the Pocket TTS system.",
    "phrase_01": "The quick brown fox jumps over the lazy dog.",
    "phrase_02": "One two three four five six seven eight nine ten.",
    "phrase_03": "How are you doing today?",
}


@pytest.fixture(scope="session")
def speech() -> np.ndarray:
    """Three seconds at 16 kHz, a whole number of 80 ms frames."""
    return samples("greeting")


@pytest.fixture(scope="session")
def real_clips() -> dict[Path, str]:
    """Speech of the trained Pocket TTS with its texts; not part of the project."""
    if not REAL.is_dir():
        pytest.skip(f"no real clips in {REAL}")
    return {REAL / f"{name}.wav": text for name, text in REAL_TEXTS.items()}
