"""The subject `unet`: a diffusion UNet with its sampler."""

from __future__ import annotations

import numpy as np

from benchmarks.faults.pairs.unet.faults import CONFLICTS, FAULTS
from benchmarks.faults.pairs.unet.port import VARIANTS, Port
from benchmarks.faults.pairs.unet.reference import CLASSES, CONTEXT, Program
from benchmarks.faults.planted import Pair
from parity.tensors import Case

__all__ = ["PAIR"]


def _case(
    name: str, size: tuple[int, int], lengths: tuple[int, ...], *, steps: int, guidance: float,
    seed: int,
) -> Case:  # fmt: skip
    """One image for each of `lengths`, which are the lengths of the contexts."""
    draw = np.random.default_rng(seed)
    context = draw.standard_normal((len(lengths), max(lengths), CONTEXT)).astype(np.float32)
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    return Case(
        name,
        inputs={"height": size[0], "width": size[1], "steps": steps, "guidance": guidance},
        arrays={
            "context": 1.3 * context + 0.3,
            "mask": mask,
            "label": draw.integers(0, CLASSES, len(lengths)),
        },
        seed=seed,
    )


PAIR = Pair(
    name="unet",
    reference=Program,
    port=Port,
    cases=(
        _case("main", (16, 24), lengths=(5, 3), steps=4, guidance=2.5, seed=21),
        _case("other", (24, 16), lengths=(6, 7, 4), steps=3, guidance=4.0, seed=22),
    ),
    output="image",
    blocks=(
        "pipeline.unet.conv_in", "pipeline.unet.down_blocks.?.resnet",
        "pipeline.unet.down_blocks.?.attention", "pipeline.unet.down_blocks.?.downsampler",
        "pipeline.unet.mid_block", "pipeline.unet.up_blocks.?", "pipeline.unet",
        "pipeline.guidance", "pipeline.scheduler", "pipeline.denormalize",
    ),
    faults=FAULTS,
    variants=VARIANTS,
    conflicts=CONFLICTS,
)  # fmt: skip
