"""A convolutional decoder in torch, and its port to MLX: `parity run` compares them.

MLX has channels last, so the port transposes what comes in, and its convolutions' weights.
"""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as mlx_nn
import numpy as np
import torch
from torch import nn

from parity.tensors import Case


class Block(nn.Module):
    """A residual convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.act, self.conv = nn.ELU(), nn.Conv1d(width, width, 3, dilation=2, padding=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` is [batch, width, time]."""
        return x + self.conv(self.act(x))


class Decoder(nn.Module):
    """Features to sound: eight times as many steps as frames."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv1d(6, 16, 5, padding=2)
        self.norm = nn.GroupNorm(4, 16)
        self.up1, self.block1 = nn.ConvTranspose1d(16, 12, 8, 4, padding=2), Block(12)
        self.up2, self.block2 = nn.ConvTranspose1d(12, 8, 4, 2, padding=1), Block(8)
        self.act, self.leave = nn.ELU(), nn.Conv1d(8, 1, 3, padding=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """`features` is [batch, 6, frames]."""
        x = self.norm(self.enter(features))
        x = self.block2(self.up2(self.block1(self.up1(x))))
        return torch.tanh(self.leave(self.act(x)))


def reference() -> nn.Module:
    """The decoder with seeded weights."""
    torch.manual_seed(0)
    return Decoder().eval()


class BlockPort(mlx_nn.Module):
    """`Block` in MLX."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.act = mlx_nn.ELU()
        self.conv = mlx_nn.Conv1d(width, width, 3, dilation=2, padding=2)

    def __call__(self, x: mx.array) -> mx.array:
        """`x` is [batch, time, width]."""
        return x + self.conv(self.act(x))


class DecoderPort(mlx_nn.Module):
    """`Decoder` in MLX.

    MLX's own GroupNorm divides the channels into groups otherwise, unless it is told.
    """

    def __init__(self, *, torch_groups: bool = True) -> None:
        super().__init__()
        self.enter = mlx_nn.Conv1d(6, 16, 5, padding=2)
        self.norm = mlx_nn.GroupNorm(4, 16, pytorch_compatible=torch_groups)
        self.up1, self.block1 = mlx_nn.ConvTranspose1d(16, 12, 8, 4, padding=2), BlockPort(12)
        self.up2, self.block2 = mlx_nn.ConvTranspose1d(12, 8, 4, 2, padding=1), BlockPort(8)
        self.act, self.leave = mlx_nn.ELU(), mlx_nn.Conv1d(8, 1, 3, padding=1)

    def __call__(self, features: mx.array) -> mx.array:
        """`features` is [batch, frames, 6]."""
        x = self.norm(self.enter(features))
        x = self.block2(self.up2(self.block1(self.up1(x))))
        return mx.tanh(self.leave(self.act(x)))


def port(*, torch_groups: bool = True) -> mlx_nn.Module:
    """The port with the reference's weights."""
    model = DecoderPort(torch_groups=torch_groups)
    weights = reference().state_dict()
    model.load_weights([(name, _for_mlx(name, w.numpy())) for name, w in weights.items()])
    return model


def _for_mlx(name: str, weight: np.ndarray) -> mx.array:
    """[out, in, kernel] or, of a transposed convolution, [in, out, kernel] to [out, kernel, in]."""
    if weight.ndim != 3:
        return mx.array(weight)
    return mx.array(weight.transpose((1, 2, 0) if name.startswith("up") else (0, 2, 1)))


def cases() -> list[Case]:
    """Ten frames."""
    drawn = np.random.default_rng(0).standard_normal((2, 6, 10)).astype(np.float32)
    return [Case("frames", arrays={"features": drawn})]
