"""False alarms and power of the intelligibility gate, by simulation.

Phrases of 5 to 12 words. Each phrase has an error rate of its own, drawn from a beta distribution
around the mean: some phrases are harder than others. Two takes of a phrase share its difficulty
and nothing else; with the same random draws on both sides, a transcript is the same but for one
phrase in twenty, where a last bit tipped the recogniser over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from parity.audio.gate import paired_judgement

__all__ = ["COUNTS", "Row", "simulate"]

COUNTS = (4, 8, 20, 40, 80)
# Of the reference: that of the default recogniser on clean synthetic speech.
BASE = 0.03
SPREAD = 12.0
TIPPED = 0.05
RISES = (0.0, 0.02, 0.10, 0.20)


@dataclass(frozen=True, slots=True)
class Row:
    """How often the gate said what, at one number of phrases and one true rise of the rate."""

    seeded: bool
    phrases: int
    rise: float
    shares: dict[str, float]


def simulate(trials: int = 400, seed: int = 7) -> Iterator[Row]:
    """Run the gate on drawn error counts."""
    rng = np.random.default_rng(seed)
    for seeded in (True, False):
        for rise in RISES:
            for count in COUNTS:
                said: Counter[str] = Counter()
                for _ in range(trials):
                    counts = _draw(rng, count, rise, seeded=seeded)
                    said[str(paired_judgement(*counts, seeded=seeded)[0])] += 1
                yield Row(seeded, count, rise, {k: n / trials for k, n in said.items()})


def _draw(
    rng: np.random.Generator, count: int, rise: float, *, seeded: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    words = rng.integers(5, 13, count)
    hardness = rng.beta(BASE * SPREAD, (1 - BASE) * SPREAD, count)
    ours = rng.binomial(words, hardness)
    again = rng.binomial(words, hardness)
    tipped = rng.random(count) < (TIPPED if seeded else 1.0)
    lost = rng.binomial(words, rise)
    return words, ours, np.minimum(np.where(tipped, again, ours) + lost, words)
