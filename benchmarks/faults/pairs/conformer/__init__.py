"""The subject `conformer`: a speech encoder of convolutions and attention, with a CTC head."""

from __future__ import annotations

import numpy as np

from benchmarks.faults.pairs.conformer.faults import CONFLICTS, FAULTS
from benchmarks.faults.pairs.conformer.port import VARIANTS, Port
from benchmarks.faults.pairs.conformer.reference import BANDS, Program
from benchmarks.faults.planted import Pair
from parity.tensors import Case

__all__ = ["PAIR"]


def _case(name: str, lengths: tuple[int, ...], seed: int) -> Case:
    """Log-mel frames with moving formants, float32[batch, frames, bands], zeros behind the end."""
    rng = np.random.default_rng(seed)
    frames = max(lengths)
    time, band = np.arange(frames)[:, None], np.arange(BANDS)[None, :]
    features = np.zeros((len(lengths), frames, BANDS), np.float32)
    for row, length in enumerate(lengths):
        centre = 10 + 7 * np.sin(time * rng.uniform(0.1, 0.4) + rng.uniform(0, 6))
        formant = 4 * np.exp(-(((band - centre) / 2.5) ** 2))
        wave = -6 + formant + 0.8 * rng.standard_normal((frames, BANDS)) + 0.05 * band
        features[row, :length] = wave[:length]
    return Case(name, arrays={"features": features, "lengths": np.array(lengths)}, seed=seed)


PAIR = Pair(
    name="conformer",
    reference=Program,
    port=Port,
    cases=(_case("main", (67, 43), 31), _case("three", (38, 59, 51), 32)),
    output="log_probs",
    blocks=("model.subsampling", "model.layers.?", "model.condition", "model"),
    faults=FAULTS,
    variants=VARIANTS,
    conflicts=CONFLICTS,
)
