"""A small language model with grouped queries, a cache, and a port of it."""

from __future__ import annotations

import numpy as np

from benchmarks.faults.pairs.gqa_decoder.conflicts import CONFLICTS
from benchmarks.faults.pairs.gqa_decoder.faults import FAULTS
from benchmarks.faults.pairs.gqa_decoder.port import make_port
from benchmarks.faults.pairs.gqa_decoder.reference import VOCABULARY, Program
from benchmarks.faults.planted import Pair
from parity.tensors import Case

__all__ = ["PAIR"]


def _case(name: str, batch: int, prompt: int, steps: int, seed: int) -> Case:
    """Tokens of a prompt, [batch, prompt], and those forced on it, [batch, steps]."""
    draw = np.random.default_rng(seed)
    tokens = draw.integers(2, VOCABULARY, (batch, prompt + steps))
    tokens[:, 0] = 1  # begin of sequence
    return Case(
        name, arrays={"tokens": tokens[:, :prompt], "forced": tokens[:, prompt:]}, seed=seed
    )


PAIR = Pair(
    name="gqa_decoder",
    reference=Program,
    port=make_port,
    cases=(_case("main", 2, 11, 8, 1), _case("short", 1, 7, 6, 2)),
    output="logits",
    blocks=("model.embed_tokens", "model.layers.[0-9]", "model.norm", "model", "logits"),
    faults=FAULTS,
    variants=("blocked", "online", "fused_qkv", "folded", "interleaved", "gqa_tile", "table_silu"),
    conflicts=CONFLICTS,
)
