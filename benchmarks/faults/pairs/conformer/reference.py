"""A Conformer encoder, as speech toolkits write it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from parity.tensors import Case

__all__ = ["BANDS", "CHANNELS", "DIM", "HEADS", "LAYERS", "Program", "build"]

BANDS, CHANNELS, DIM, HEADS, HIDDEN = 20, 8, 32, 4, 80
KERNEL, LAYERS, WORDS = 7, 2, 13


class FeatureNorm(nn.Module):
    """Mean off and times the stored inverse of the deviation, both of the training data."""

    mean: torch.Tensor
    istd: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.linspace(-5.6, -4.4, BANDS))
        self.register_buffer("istd", torch.linspace(0.75, 0.45, BANDS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, frames, bands] -> the same."""
        return (x - self.mean) * self.istd


class Subsampling(nn.Module):
    """Two strided convolutions over frames and bands, a quarter of the frames comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, CHANNELS, 3, stride=2)
        self.conv2 = nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2)
        bands = ((BANDS - 1) // 2 - 1) // 2
        self.out = nn.Linear(CHANNELS * bands, DIM)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[batch, frames, bands] -> [batch, time, dim], and lengths int64[batch] by that time."""
        x = functional.relu(self.conv1(x[:, None]))
        x = functional.relu(self.conv2(x))
        x = x.transpose(1, 2).flatten(2)
        return self.out(x) * math.sqrt(DIM), ((lengths - 1) // 2 - 1) // 2


class RelativePositions(nn.Module):
    """Sines and cosines by turns, of all distances from the farthest ahead to the farthest back."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, time, dim] -> [2 * time - 1, dim]."""
        time = x.shape[1]
        distance = torch.arange(time - 1, -time, -1.0)[:, None]
        rates = torch.exp(torch.arange(0, DIM, 2.0) * (-math.log(10_000.0) / DIM))
        table = x.new_zeros(2 * time - 1, DIM)
        table[:, 0::2] = torch.sin(distance * rates)
        table[:, 1::2] = torch.cos(distance * rates)
        return table


class FeedForward(nn.Module):
    """Widening, SiLU, narrowing, behind a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(DIM)
        self.up = nn.Linear(DIM, HIDDEN)
        self.act = nn.SiLU()
        self.down = nn.Linear(HIDDEN, DIM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., dim] -> the same."""
        return self.down(self.act(self.up(self.norm(x))))


class RelativeAttention(nn.Module):
    """Attention by content and distance, after Transformer-XL (https://arxiv.org/abs/1901.02860)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(DIM)
        self.query = nn.Linear(DIM, DIM)
        self.key = nn.Linear(DIM, DIM)
        self.value = nn.Linear(DIM, DIM)
        self.position = nn.Linear(DIM, DIM, bias=False)
        self.out = nn.Linear(DIM, DIM)
        self.bias_u = nn.Parameter(torch.zeros(HEADS, DIM // HEADS))
        self.bias_v = nn.Parameter(torch.zeros(HEADS, DIM // HEADS))

    def forward(self, x: torch.Tensor, table: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """[batch, time, dim], [2 * time - 1, dim], bool[batch, time] -> [batch, time, dim]."""
        x = self.norm(x)
        q = self.query(x).unflatten(-1, (HEADS, -1))
        k = self.key(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        v = self.value(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        p = self.position(table).unflatten(-1, (HEADS, -1)).transpose(0, 1)
        content = (q + self.bias_u).transpose(1, 2) @ k.transpose(-2, -1)
        distance = _shifted((q + self.bias_v).transpose(1, 2) @ p.transpose(-2, -1))
        scores = (content + distance) / math.sqrt(DIM // HEADS)
        weights = scores.masked_fill(padding[:, None, None, :], -math.inf).softmax(dim=-1)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


def _shifted(scores: torch.Tensor) -> torch.Tensor:
    """Column t of row i becomes distance i - t; [..., time, 2 * time - 1] -> [..., time, time]."""
    time = scores.shape[-2]
    padded = functional.pad(scores, (1, 0))
    turned = padded.reshape(*scores.shape[:-2], 2 * time, time)[..., 1:, :]
    return turned.reshape(scores.shape)[..., :time]


class ConvolutionModule(nn.Module):
    """A gated pointwise and a depthwise convolution over time."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(DIM)
        self.pointwise1 = nn.Conv1d(DIM, 2 * DIM, 1)
        self.depthwise = nn.Conv1d(DIM, DIM, KERNEL, padding=KERNEL // 2, groups=DIM)
        self.batch_norm = nn.BatchNorm1d(DIM)
        self.act = nn.SiLU()
        self.pointwise2 = nn.Conv1d(DIM, DIM, 1)

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """[batch, time, dim], bool[batch, time] -> [batch, time, dim]."""
        x = self.norm(x).transpose(1, 2)
        x = functional.glu(self.pointwise1(x), dim=1)
        x = x.masked_fill(padding[:, None], 0.0)
        x = self.act(self.batch_norm(self.depthwise(x)))
        return self.pointwise2(x).transpose(1, 2)


class Layer(nn.Module):
    """Half a feed-forward, attention, convolution, the other half, a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.ff1 = FeedForward()
        self.attention = RelativeAttention()
        self.conv = ConvolutionModule()
        self.ff2 = FeedForward()
        self.norm = nn.LayerNorm(DIM)

    def forward(self, x: torch.Tensor, table: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """[batch, time, dim] -> the same."""
        x = x + 0.5 * self.ff1(x)
        x = x + self.attention(x, table, padding)
        x = x + self.conv(x, padding)
        x = x + 0.5 * self.ff2(x)
        return self.norm(x)


class Conformer(nn.Module):
    """Features -> log probabilities of the words at each time.

    Behind each layer but the last the words found so far are told to the layers that follow
    (self-conditioned CTC, https://arxiv.org/abs/2104.02724).
    """

    def __init__(self) -> None:
        super().__init__()
        self.feature_norm = FeatureNorm()
        self.subsampling = Subsampling()
        self.positions = RelativePositions()
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.head = nn.Linear(DIM, WORDS)
        self.condition = nn.Linear(WORDS, DIM)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """[batch, frames, bands], int64[batch] -> [batch, time, words]."""
        x, lengths = self.subsampling(self.feature_norm(features), lengths)
        table = self.positions(x)
        padding = torch.arange(x.shape[1]) >= lengths[:, None]
        for index, layer in enumerate(self.layers):
            x = layer(x, table, padding)
            if index < LAYERS - 1:
                x = x + self.condition(self.head(x).softmax(dim=-1))
        return self.head(x).log_softmax(dim=-1)


def build() -> Conformer:
    """The model with weights of trained scales, the same in every process."""
    model = Conformer().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(53)
    for name, value in model.state_dict().items():
        draw = torch.randn(value.shape, generator=generator)
        if name.endswith("running_mean"):
            value.copy_(0.2 * draw)
        elif name.endswith("running_var"):
            value.copy_(0.03 * torch.exp(0.8 * draw))
        elif name.endswith("norm.weight"):
            value.copy_(1 + 0.25 * draw)
        elif value.dim() == 1 and not name.startswith("feature_norm"):
            value.copy_(0.2 * draw)
        elif value.dim() > 1:
            value.copy_(_gain(name) * draw)
    return model


def _gain(name: str) -> float:
    """Standard deviation of the weights called `name`."""
    if "bias_" in name:
        return 0.5
    fan_in = {"conv1": 9, "conv2": 9 * CHANNELS, "depthwise": KERNEL, "down": HIDDEN}
    size = next((n for part, n in fan_in.items() if part in name), DIM)
    gains = {"query": 1.5, "key": 1.5, "subsampling.out": 0.25, "head": 1.8, "condition": 1.5}
    return next((g for part, g in gains.items() if part in name), 1.0) / math.sqrt(size)


class Program:
    """The reference."""

    name = "conformer reference"

    def __init__(self) -> None:
        self.model = build()
        self.modules: Mapping[str, nn.Module] = {"model": self.model}

    @torch.no_grad()
    def run(self, case: Case) -> dict[str, torch.Tensor]:
        """Log probabilities, [batch, time, words]."""
        arrays = (torch.from_numpy(case.arrays[name]) for name in ("features", "lengths"))
        return {"log_probs": self.model(*arrays)}
