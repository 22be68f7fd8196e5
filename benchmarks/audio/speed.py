"""How long waveform and health take for so many seconds of speech."""

from __future__ import annotations

import time

import numpy as np

from fixtures.speech import phrases, samples
from parity.audio import from_array, listen

__all__ = ["seconds_for"]


def seconds_for(seconds: float) -> dict[str, float]:
    """Time of `parity.audio.listen` on speech of that length at 24 kHz, with an error in it."""
    said = np.concatenate([samples(name) for name in phrases()])
    count = int(seconds * 24000)
    long = np.tile(said, count // said.size + 1)[:count]
    port = long + 1e-3 * np.random.default_rng(0).standard_normal(count)
    clips = from_array(long, 24000), from_array(port, 24000)
    listen(*clips, frame=1920)
    started, processor = time.perf_counter(), time.process_time()
    listen(*clips, frame=1920)
    return {
        "audio_s": seconds,
        "wall_s": time.perf_counter() - started,
        "processor_s": time.process_time() - processor,
    }
