"""Rotary positions on interleaved pairs: elements 2i and 2i+1 of a head turn together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

__all__ = ["Rotation", "rotate", "rotation"]


@dataclass(frozen=True, slots=True)
class Rotation:
    """The turn of each position and pair: `cos` and `sin`, [length, 1, head_dim / 2]."""

    cos: torch.Tensor
    sin: torch.Tensor


def rotation(
    start: int, length: int, *, head_dim: int, max_period: float, dtype: torch.dtype
) -> Rotation:
    """The turns of positions `start` to `start + length`, in at least float32.

    Pair i of position p turns by p * max_period ** (-2 i / head_dim).
    """
    dtype = torch.promote_types(dtype, torch.float32)
    pairs = torch.arange(head_dim // 2, dtype=dtype)
    frequencies = torch.exp(pairs * (-math.log(max_period) * 2 / head_dim))
    positions = torch.arange(start, start + length, dtype=dtype)
    angles = positions[:, None, None] * frequencies
    return Rotation(torch.cos(angles), torch.sin(angles))


def rotate(x: torch.Tensor, turn: Rotation) -> torch.Tensor:
    """Turn queries or keys before the heads are transposed.

    Args:
        x: [batch, length, heads, head_dim].
        turn: of the same length.
    """
    pairs = x.to(turn.cos.dtype).reshape(*x.shape[:-1], -1, 2)
    real, imaginary = pairs[..., 0], pairs[..., 1]
    turned = torch.stack(
        [
            real * turn.cos - imaginary * turn.sin,
            real * turn.sin + imaginary * turn.cos,
        ],
        dim=-1,
    )
    return turned.flatten(-2).to(x.dtype)
