"""A small encoder with mixtures of experts, and a port of it."""

from __future__ import annotations

import numpy as np

from benchmarks.faults.pairs.moe.conflicts import CONFLICTS
from benchmarks.faults.pairs.moe.faults import FAULTS
from benchmarks.faults.pairs.moe.port import make_port
from benchmarks.faults.pairs.moe.reference import VOCABULARY, Program
from benchmarks.faults.planted import Pair
from parity.tensors import Case

__all__ = ["PAIR"]


def _case(name: str, lengths: tuple[int, ...], seed: int) -> Case:
    """Two segments of tokens a row, padded with 0 to the longest, [batch, length]."""
    draw = np.random.default_rng(seed)
    shape = len(lengths), max(lengths)
    tokens, sizes = draw.integers(1, VOCABULARY, shape), np.array(lengths)
    place = np.arange(shape[1])[None, :]
    tokens[place >= sizes[:, None]] = 0
    segments = (place >= sizes[:, None] // 2).astype(np.int64)
    arrays = {"tokens": tokens, "segments": segments, "lengths": sizes}
    return Case(name, arrays=arrays, seed=seed)


PAIR = Pair(
    name="moe",
    reference=Program,
    port=make_port,
    # Seeds for which no token is so undecided between experts that half precision turns it.
    cases=(_case("main", (12, 9), 370), _case("short", (7, 4, 6), 138)),
    output="embedding",
    blocks=("encoder.embeddings", "encoder.layers.[0-9]", "encoder.final_norm", "embedding"),
    faults=FAULTS,
    variants=(
        "blocked",
        "online",
        "split_qkv",
        "folded",
        "scale_folded",
        "dense_dispatch",
        "table_gelu",
    ),
    conflicts=CONFLICTS,
)
