"""Small models of many architectures, for adapters that convert them: vision, text, audio.

Each is seeded, has an example input, and runs without data-dependent control flow.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

Arrays = dict[str, np.ndarray]


class ResidualBlock(nn.Module):
    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, stride, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(out), nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.short = nn.Conv2d(width, out, 1, stride)

    def forward(self, x):
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + self.short(x))


class ResNet(nn.Module):
    """Residual convolutions with batch norms: vision."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.Sequential(ResidualBlock(8, 8, 1), ResidualBlock(8, 16, 2))
        self.head = nn.Linear(16, 5)

    def forward(self, image):
        return self.head(self.blocks(self.stem(image)).mean((-2, -1)))


class EncoderLayer(nn.Module):
    """Attention and a feed-forward part, norms first."""

    def __init__(self, width: int, heads: int, *, activation: str = "none") -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.act = nn.GELU(approximate=activation)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.drop(self.attention(y, y, y, need_weights=False)[0])
        return x + self.down(self.act(self.up(self.norm2(x))))


class VisionTransformer(nn.Module):
    """Patches, a class token, learned positions: vision."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.positions = nn.Parameter(torch.randn(1, 17, 16))
        self.layers = nn.ModuleList([EncoderLayer(16, 2) for _ in range(2)])
        self.head = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 5))

    def forward(self, image):
        x = self.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.head(x[:, 0])


class UNet(nn.Module):
    """Down, up, and skip connections, with group norms: vision."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(2, 8, 3, padding=1)
        self.norm = nn.GroupNorm(4, 8)
        self.down = nn.Conv2d(8, 16, 3, 2, padding=1)
        self.middle = nn.Sequential(nn.SiLU(), nn.Conv2d(16, 16, 3, padding=1))
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.leave = nn.Conv2d(16, 2, 3, padding=1)

    def forward(self, image):
        skip = functional.silu(self.norm(self.enter(image)))
        deep = self.middle(self.down(skip))
        return self.leave(torch.cat([skip, self.up(deep)], 1))


class RootMeanSquare(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(1 + 0.1 * torch.randn(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.scale


class RotaryAttention(nn.Module):
    """Causal attention with rotary positions and keys shared between heads."""

    def __init__(self, width: int, heads: int, shared: int) -> None:
        super().__init__()
        self.heads, self.shared, self.size = heads, shared, width // heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, shared * self.size, bias=False)
        self.value = nn.Linear(width, shared * self.size, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x):
        q = self.rotate(self.query(x).unflatten(-1, (self.heads, self.size)).transpose(1, 2))
        k = self.rotate(self.key(x).unflatten(-1, (self.shared, self.size)).transpose(1, 2))
        v = self.value(x).unflatten(-1, (self.shared, self.size)).transpose(1, 2)
        k, v = (t.repeat_interleave(self.heads // self.shared, 1) for t in (k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def rotate(self, x):
        half = self.size // 2
        speed = 100.0 ** (-torch.arange(half) / half)
        angle = torch.arange(x.shape[-2])[:, None] * speed
        one, two = x.chunk(2, -1)
        cos, sin = angle.cos(), angle.sin()
        return torch.cat([one * cos - two * sin, one * sin + two * cos], -1)


class DecoderLayer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = RootMeanSquare(width), RootMeanSquare(width)
        self.attention = RotaryAttention(width, 4, 2)
        self.gate, self.up = nn.Linear(width, 24, bias=False), nn.Linear(width, 24, bias=False)
        self.down = nn.Linear(24, width, bias=False)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        y = self.norm2(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class Decoder(nn.Module):
    """A language model of today: RMS norms, rotary positions, gated feed-forward parts: text."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(20, 16)
        self.layers = nn.Sequential(DecoderLayer(16), DecoderLayer(16))
        self.norm = RootMeanSquare(16)
        self.head = nn.Linear(16, 20, bias=False)

    def forward(self, tokens):
        return self.head(self.norm(self.layers(self.tokens(tokens))))


class Bert(nn.Module):
    """An encoder with learned positions and norms after each layer's parts: text."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(20, 16), nn.Embedding(12, 16)
        self.norm = nn.LayerNorm(16, eps=1e-12)
        self.layers = nn.ModuleList([EncoderLayer(16, 4, activation="tanh") for _ in range(2)])
        self.pool = nn.Linear(16, 16)

    def forward(self, tokens):
        x = self.norm(self.tokens(tokens) + self.places(torch.arange(tokens.shape[1])))
        for layer in self.layers:
            x = layer(x)
        return x, torch.tanh(self.pool(x[:, 0]))


class Tagger(nn.Module):
    """Embeddings and a recurrent layer in both directions: text."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(20, 8)
        self.lstm = nn.LSTM(8, 6, batch_first=True, bidirectional=True)
        self.head = nn.Linear(12, 4)

    def forward(self, tokens):
        return self.head(self.lstm(self.tokens(tokens))[0]).log_softmax(-1)


class Snake(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.speed = nn.Parameter(1 + 0.2 * torch.rand(1, width, 1))

    def forward(self, x):
        return x + torch.sin(self.speed * x).pow(2) / self.speed


class Vocoder(nn.Module):
    """Transposed convolutions, and dilated ones with residuals: audio."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv1d(8, 16, 7, padding=3)
        self.ups = nn.ModuleList(
            [nn.ConvTranspose1d(16, 8, 8, 4, padding=2), nn.ConvTranspose1d(8, 4, 4, 2, padding=1)]
        )
        self.acts = nn.ModuleList([Snake(16), Snake(8)])
        self.dilated = nn.ModuleList([nn.Conv1d(w, w, 3, dilation=3, padding=3) for w in (8, 4)])
        self.leave = nn.Conv1d(4, 1, 7, padding=3)

    def forward(self, features):
        x = self.enter(features)
        for act, up, dilated in zip(self.acts, self.ups, self.dilated, strict=True):
            x = up(act(x))
            x = x + dilated(functional.leaky_relu(x, 0.1))
        return torch.tanh(self.leave(functional.elu(x)))


class Conformer(nn.Module):
    """Attention between convolutions with gates, over a spectrogram: audio."""

    def __init__(self) -> None:
        super().__init__()
        self.subsample = nn.Conv2d(1, 4, 3, 2, padding=1)
        self.enter = nn.Linear(4 * 8, 16)
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(16) for _ in range(3))
        self.wide = nn.Conv1d(16, 32, 1)
        self.deep = nn.Conv1d(16, 16, 5, padding=2, groups=16)
        self.batch = nn.BatchNorm1d(16)
        self.back = nn.Conv1d(16, 16, 1)

    def forward(self, spectrogram):
        x = self.subsample(spectrogram.unsqueeze(1))
        x = self.enter(x.transpose(1, 2).flatten(2))
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        y = functional.glu(self.wide(self.norm2(x).transpose(1, 2)), 1)
        x = x + self.back(functional.silu(self.batch(self.deep(y)))).transpose(1, 2)
        return self.norm3(x)


class CachedStep(nn.Module):
    """One step of a decoder that takes its cache, and returns it with what it added: text."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(16)
        self.query, self.key, self.value = (nn.Linear(16, 16) for _ in range(3))
        self.out = nn.Linear(16, 16)
        self.mlp = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))

    def forward(self, x, keys, values):
        y = self.norm(x)
        keys = torch.cat([keys, self.key(y)], 1)
        values = torch.cat([values, self.value(y)], 1)
        weights = (self.query(y) @ keys.transpose(1, 2) / 4).softmax(-1)
        x = x + self.out(weights @ values)
        return x + self.mlp(x), keys, values


def _floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _cached() -> tuple[np.ndarray, ...]:
    drawn = _floats(1, 7, 16)
    return drawn[:, :1], drawn[:, 1:4], drawn[:, 4:]


def _tokens(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 20, shape)


TOYS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Arrays]]] = {
    "resnet": (ResNet, lambda: {"image": _floats(2, 3, 12, 12)}),
    "vit": (VisionTransformer, lambda: {"image": _floats(2, 3, 16, 16)}),
    "unet": (UNet, lambda: {"image": _floats(1, 2, 8, 8)}),
    "decoder": (Decoder, lambda: {"tokens": _tokens(2, 7)}),
    "bert": (Bert, lambda: {"tokens": _tokens(2, 7)}),
    "tagger": (Tagger, lambda: {"tokens": _tokens(2, 7)}),
    "vocoder": (Vocoder, lambda: {"features": _floats(1, 8, 10)}),
    "conformer": (Conformer, lambda: {"spectrogram": _floats(2, 20, 16)}),
    "step": (
        CachedStep,
        lambda: {
            "x": _floats(1, 1, 16),
            "keys": _floats(2, 3, 16)[:1],
            "values": _floats(3, 3, 16)[2:],
        },
    ),
}


def toy(name: str) -> tuple[nn.Module, Arrays]:
    """A toy in evaluation mode, with weights drawn from a seed, and arrays to run it on."""
    make, arrays = TOYS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = make().eval()
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.5, 2)
    return module, arrays()
