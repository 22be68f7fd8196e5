"""The subject `codec`: a streaming convolutional codec."""

from __future__ import annotations

import numpy as np

from benchmarks.faults.pairs.codec.faults import CONFLICTS, FAULTS
from benchmarks.faults.pairs.codec.port import VARIANTS, Port
from benchmarks.faults.pairs.codec.reference import Program
from benchmarks.faults.planted import Pair
from parity.tensors import Case

__all__ = ["PAIR"]


def _case(name: str, batch: int, frame: int, frames: int, seed: int) -> Case:
    """A chord whose loudness grows and falls, with some noise, as int16[batch, 1, samples]."""
    draw = np.random.default_rng(seed)
    time = np.arange(frame * frames) / 40.0
    pitches = draw.uniform(0.5, 6.0, size=(batch, 4, 1))
    chord = np.sin(pitches * time + draw.uniform(0, 6, size=(batch, 4, 1))).sum(1)
    swell = 0.6 + 1.2 * np.sin(np.linspace(0.3, 2.6, time.size)) ** 2
    wave = swell * (0.2 * chord + 0.15 * draw.standard_normal(chord.shape))
    pcm = np.clip(np.round(wave * 32768), -32768, 32767).astype(np.int16)
    return Case(name, inputs={"frame": frame}, arrays={"pcm": pcm[:, None]}, seed=seed)


PAIR = Pair(
    name="codec",
    reference=Program,
    port=Port,
    cases=(
        _case("main", batch=2, frame=48, frames=6, seed=11),
        _case("other", batch=1, frame=72, frames=5, seed=12),
    ),
    output="audio",
    blocks=(
        "codec.encoder.model.?", "codec.encoder.model.1?", "codec.encoder.downsample",
        "codec.quantizer", "codec.decoder.upsample", "codec.decoder.model.?",
        "codec.decoder.model.1?", "codec",
    ),
    faults=FAULTS,
    variants=VARIANTS,
    conflicts=CONFLICTS,
)  # fmt: skip
