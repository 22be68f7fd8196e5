"""A recurrent vocoder: log-mel front end, LSTM encoder, autoregressive GRU decoder, post-net."""

from __future__ import annotations

import numpy as np

from benchmarks.faults.pairs.vocoder.faults import CONFLICTS, FAULTS
from benchmarks.faults.pairs.vocoder.port import Port
from benchmarks.faults.pairs.vocoder.reference import RATE, Program
from benchmarks.faults.planted import Pair
from parity.tensors import Case

__all__ = ["PAIR"]


def _case(name: str, length: int, speaker: tuple[int, ...], seed: int) -> Case:
    """Vowel-like sounds that fade to near silence, one for each speaker."""
    rng = np.random.default_rng(seed)
    time = np.arange(length) / RATE
    pitch = rng.uniform(110, 320, size=(len(speaker), 1, 1))
    harmonics = np.arange(1, 9)[None, :, None]
    phases = rng.uniform(0, 2 * np.pi, size=(len(speaker), 8, 1))
    tones = np.sin(2 * np.pi * pitch * harmonics * time + phases) / harmonics
    fade = np.where(time < 0.6 * time[-1], 1.0, 0.01)
    wave = 0.25 * fade * tones.sum(1) + 0.02 * fade * rng.normal(size=(len(speaker), length))
    samples = np.clip(wave * 32768, -32768, 32767).astype(np.int16)
    return Case(name, {"speaker": list(speaker)}, {"samples": samples}, seed)


PAIR = Pair(
    name="vocoder",
    reference=Program,
    port=Port,
    cases=(_case("main", 160, (2, 3, 1), 5), _case("short", 128, (1, 3), 6)),
    output="wave",
    blocks=(
        "model.frontend",
        "model.encoder.convs.?",
        "model.encoder",
        "model.upsample",
        "model.decoder.cell",
        "model.decoder",
        "model.postnet",
        "model",
        "wave",
    ),
    faults=FAULTS,
    variants=(
        "blocked_matmul",
        "fft",
        "folded_bn",
        "fused_gates",
        "projected_sequence",
        "merged_bias",
        "permuted_units",
    ),
    conflicts=CONFLICTS,
)
