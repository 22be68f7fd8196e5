"""What is compared: two captures of large tensors, and two of many small ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from parity.metrics import digest, tensor_statistics
from parity.store import CaptureMeta, CaptureWriter
from parity.tensors import Role, TapKey, TapRecord, TensorSpec, Tier

__all__ = ["Pair", "large_pairs", "small_pairs", "write_captures"]

Array = np.ndarray[Any, np.dtype[Any]]
Pair = tuple[str, Array, Array]

# Outputs of a transformer's blocks over 1,024 positions, and now and then a large convolution.
SHAPES = ((1, 1024, 768), (1, 1024, 3072), (1, 12, 1024, 64), (1, 1024, 768), (1, 16, 1024, 1024))
# Rounding noise of a float32 model: no tool can take a shortcut through equal bits.
NOISE = np.float32(2e-6)


def large_pairs(nbytes: int) -> Iterator[Pair]:
    """Float32 pairs of a few megabytes each, `nbytes` on each side in all."""
    pool = np.random.default_rng(0).standard_normal(1 << 25, dtype=np.float32)
    noise = NOISE * np.random.default_rng(1).standard_normal(1 << 25, dtype=np.float32)
    held, number = 0, 0
    while held < nbytes:
        shape = SHAPES[number % len(SHAPES)]
        size = math.prod(shape)
        first = number * 7919 % (pool.size - size)
        reference = pool[first : first + size]
        candidate = reference + noise[first : first + size] * np.abs(reference)
        yield f"layer.{number}", reference.reshape(shape), candidate.reshape(shape)
        held += size * 4
        number += 1


def small_pairs(count: int) -> Iterator[Pair]:
    """Float32 pairs of 64 to 1,024 elements, as the single steps of a decoder have them."""
    rng = np.random.default_rng(2)
    for number in range(count):
        size = (64, 512, 1024, 256, 1024)[number % 5]
        reference = rng.standard_normal((1, 1, size), dtype=np.float32)
        noise = NOISE * rng.standard_normal(size, dtype=np.float32)
        yield f"step.{number % 200}", reference, reference + noise * reference


def write_captures(pairs: Iterator[Pair], folder: Path) -> tuple[Path, Path]:
    """The pairs as two capture files, written as a recorder writes them."""
    paths = folder / "reference.h5", folder / "candidate.h5"
    meta = CaptureMeta(implementation="benchmark", precision="float32")
    calls: dict[str, int] = {}
    with CaptureWriter(paths[0], meta=meta) as left, CaptureWriter(paths[1], meta=meta) as right:
        for order, (path, *sides) in enumerate(pairs):
            call = calls[path] = calls.get(path, -1) + 1
            for writer, array in zip((left, right), sides, strict=True):
                writer.append(_record(path, call, order, array), array)
    return paths


def _record(path: str, call: int, order: int, array: Array) -> TapRecord:
    return TapRecord(
        key=TapKey(path, Role.OUTPUT, "", "", call),
        spec=TensorSpec(array.dtype.name, array.shape),
        order=order,
        tier=Tier.TENSOR,
        statistics=tensor_statistics(array),
        digest=digest(array),
    )
