"""A contrastive image encoder: patches, pre-norm blocks, an attention pool, scaled cosines."""

from __future__ import annotations

import numpy as np

from benchmarks.faults.pairs.vision.faults import CONFLICTS, FAULTS
from benchmarks.faults.pairs.vision.port import Port
from benchmarks.faults.pairs.vision.reference import JOINT, Program
from benchmarks.faults.planted import Pair
from parity.tensors import Case

__all__ = ["PAIR"]


def _case(
    name: str, shape: tuple[int, int, int], size: tuple[int, int], texts: int, seed: int
) -> Case:
    """Pictures with edges and slopes, as (batch, height, width), resized to `size`."""
    rng = np.random.default_rng(seed)
    batch, height, width = shape
    y, x = np.mgrid[:height, :width] / 10
    waves = rng.normal(size=(batch, 2, 1, 1, 3))
    smooth = np.sin(waves[:, 0] * y[..., None] + waves[:, 1] * x[..., None])
    grain = rng.normal(size=(batch, height, width, 3))
    steps = np.where(rng.random((batch, height, 1, 3)) < 0.3, 60.0, 0.0)
    tint = np.array([30.0, 0.0, -40.0])
    pixels = np.clip(120 + 70 * smooth + 35 * grain + steps + tint, 0, 255).astype(np.uint8)
    text = rng.normal(size=(texts, JOINT)).astype(np.float32) * 0.35
    return Case(name, {"size": list(size)}, {"pixels": pixels, "text": text}, seed)


PAIR = Pair(
    name="vision",
    reference=Program,
    port=Port,
    cases=(
        _case("main", (3, 57, 74), (40, 48), 5, 1),
        _case("tall", (2, 66, 50), (48, 32), 4, 2),
    ),
    output="logits",
    blocks=(
        "model.preprocess",
        "model.visual.embeddings",
        "model.visual.layers.?",
        "model.pool",
        "model.head",
        "model",
        "logits",
    ),
    faults=FAULTS,
    variants=(
        "blocked_matmul",
        "online_softmax",
        "split_qkv",
        "folded_norm",
        "folded_layer_scale",
        "folded_preprocess",
        "permuted_heads",
        "table_gelu",
    ),
    conflicts=CONFLICTS,
)
