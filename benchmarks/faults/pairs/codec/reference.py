"""A streaming codec in the manner of SEANet, EnCodec and Mimi, frame by frame.

Audio in 16-bit integers comes in frames; causal convolutions, an LSTM and overlap-add carry their
past from frame to frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

import parity
from parity.tensors import Case

__all__ = ["Codec", "Program"]

BYPASS = 0.35


class NormConv1d(nn.Module):
    """Convolution whose weight is kept as a direction and a gain for each channel out."""

    def __init__(
        self, in_dim: int, out_dim: int, kernel: int, *, stride: int, dilation: int, groups: int
    ):
        super().__init__()
        self.weight_v = nn.Parameter(torch.empty(out_dim, in_dim // groups, kernel))
        self.weight_g = nn.Parameter(torch.empty(out_dim, 1, 1))
        self.bias = nn.Parameter(torch.empty(out_dim))
        self.stride, self.dilation, self.groups = stride, dilation, groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve without padding; [batch, in, length] -> [batch, out, shorter]."""
        norm = self.weight_v.norm(dim=(1, 2), keepdim=True)
        weight = self.weight_v * (self.weight_g / norm)
        return functional.conv1d(
            x, weight, self.bias, self.stride, dilation=self.dilation, groups=self.groups
        )


class StreamConv1d(nn.Module):
    """Causal convolution that remembers the end of the frame before."""

    def __init__(
        self, in_dim: int, out_dim: int, kernel: int, *, stride: int = 1, dilation: int = 1,
        groups: int = 1, pad_mode: str = "constant",
    ):  # fmt: skip
        super().__init__()
        self.conv = NormConv1d(
            in_dim, out_dim, kernel, stride=stride, dilation=dilation, groups=groups
        )
        self.reach = (kernel - 1) * dilation + 1 - stride
        self.pad_mode = pad_mode
        self.past: torch.Tensor | None = None

    def reset(self) -> None:
        """Forget the past."""
        self.past = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, in, length] -> [batch, out, length / stride]."""
        if self.reach:
            if self.past is None:
                mode = self.pad_mode
                x = functional.pad(x, (self.reach, 0), mode=mode)
            else:
                x = torch.cat([self.past, x], dim=-1)
            self.past = x[..., -self.reach :]
        return self.conv(x)


class NormConvTranspose1d(nn.Module):
    """Transposed convolution with a gain for each channel in, as weight norm has it by default."""

    def __init__(self, in_dim: int, out_dim: int, kernel: int, stride: int):
        super().__init__()
        self.weight_v = nn.Parameter(torch.empty(in_dim, out_dim, kernel))
        self.weight_g = nn.Parameter(torch.empty(in_dim, 1, 1))
        self.bias = nn.Parameter(torch.empty(out_dim))
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, in, length] -> [batch, out, (length - 1) * stride + kernel]."""
        norm = self.weight_v.norm(dim=(1, 2), keepdim=True)
        weight = self.weight_v * (self.weight_g / norm)
        return functional.conv_transpose1d(x, weight, self.bias, self.stride)


class StreamConvTranspose1d(nn.Module):
    """Transposed convolution that adds the tail of the frame before to the head of this one."""

    def __init__(self, convtr: nn.Module, stride: int, kernel: int):
        super().__init__()
        self.convtr = convtr
        self.overlap = kernel - stride
        self.partial: torch.Tensor | None = None

    def reset(self) -> None:
        """Forget the tail."""
        self.partial = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, in, length] -> [batch, out, length * stride]."""
        y = self.convtr(x)
        if self.partial is not None:
            y = torch.cat([y[..., : self.overlap] + self.partial, y[..., self.overlap :]], dim=-1)
        tail, bias = y[..., -self.overlap :], self.convtr.bias
        self.partial = tail if bias is None else tail - bias[:, None]
        return y[..., : -self.overlap]


class Snake(nn.Module):
    """x + sin(alpha x)^2 / beta, both parameters kept as logarithms."""

    def __init__(self, dim: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.empty(1, dim, 1))
        self.beta = nn.Parameter(torch.empty(1, dim, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, dim, length] -> the same."""
        alpha, beta = self.alpha.exp(), self.beta.exp()
        return x + torch.sin(x * alpha).pow(2) / (beta + 1e-9)


class ResidualUnit(nn.Module):
    """Activation, dilated convolution, activation, pointwise convolution, beside a skip."""

    def __init__(self, dim: int, dilation: int, snake: bool):
        super().__init__()
        hidden = dim // 2
        self.block = nn.Sequential(
            Snake(dim) if snake else nn.ELU(),
            StreamConv1d(dim, hidden, 3, dilation=dilation),
            Snake(hidden) if snake else nn.ELU(),
            StreamConv1d(hidden, dim, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, dim, length] -> the same."""
        return x + self.block(x)


class StreamLSTM(nn.Module):
    """Two layers of LSTM beside a skip, over the time axis."""

    def __init__(self, dim: int):
        super().__init__()
        self.lstm = nn.LSTM(dim, dim, num_layers=2)
        self.state: tuple[torch.Tensor, torch.Tensor] | None = None

    def reset(self) -> None:
        """Begin with zeros again."""
        self.state = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, dim, length] -> the same."""
        x = x.permute(2, 0, 1)
        y, self.state = self.lstm(x, self.state)
        return (y + x).permute(1, 2, 0)


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, norm over channels, two pointwise maps, layer scale, skip."""

    def __init__(self, dim: int):
        super().__init__()
        self.dwconv = StreamConv1d(dim, dim, 5, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, 2 * dim)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(2 * dim, dim)
        self.gamma = nn.Parameter(torch.empty(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, dim, length] -> the same."""
        h = self.dwconv(x).transpose(1, 2)
        h = self.pwconv2(self.act(self.pwconv1(self.norm(h))))
        return x + (self.gamma * h).transpose(1, 2)


class Encoder(nn.Module):
    """Audio to latents, 12 samples for each."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(
            StreamConv1d(1, 24, 7),
            ResidualUnit(24, 1, snake=False),
            nn.ELU(),
            StreamConv1d(24, 32, 4, stride=2),
            ResidualUnit(32, 3, snake=False),
            nn.ELU(),
            StreamConv1d(32, 48, 6, stride=3),
            nn.GroupNorm(4, 48),
            StreamLSTM(48),
            nn.ELU(),
            StreamConv1d(48, 32, 3),
        )
        self.downsample = StreamConv1d(32, 32, 4, stride=2, pad_mode="replicate")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, 1, length] -> [batch, 32, length / 12]."""
        return self.downsample(self.model(x))


class Codebook(nn.Module):
    """The nearest of some vectors, which are kept as sums and counts of what they stood for."""

    def __init__(self, size: int, dim: int):
        super().__init__()
        self.register_buffer("embedding_sum", torch.empty(size, dim))
        self.register_buffer("cluster_usage", torch.empty(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, length, dim] -> the same, each row one of the vectors."""
        table = self.embedding_sum / self.cluster_usage.clamp(min=1e-5)[:, None]
        codes = torch.cdist(x, table[None]).argmin(dim=-1)
        return functional.embedding(codes, table)


class ResidualQuantizer(nn.Module):
    """Each codebook takes what the ones before left over; a share of the rest goes on as it is."""

    def __init__(self, dim: int, code_dim: int, size: int, depth: int):
        super().__init__()
        self.input_proj = nn.Conv1d(dim, code_dim, 1, bias=False)
        self.layers = nn.ModuleList(Codebook(size, code_dim) for _ in range(depth))
        self.output_proj = nn.Conv1d(code_dim, dim, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, dim, length] -> the same."""
        residual = self.input_proj(x).transpose(1, 2)
        quantized = torch.zeros_like(residual)
        for layer in self.layers:
            chosen = layer(residual)
            residual = residual - chosen
            quantized = quantized + chosen
        return self.output_proj((quantized + BYPASS * residual).transpose(1, 2))


class Decoder(nn.Module):
    """Latents to audio."""

    def __init__(self) -> None:
        super().__init__()
        depthwise = nn.ConvTranspose1d(32, 32, 4, stride=2, groups=32, bias=False)
        self.upsample = StreamConvTranspose1d(depthwise, 2, 4)
        self.model = nn.Sequential(
            StreamConv1d(32, 48, 7),
            ConvNeXtBlock(48),
            Snake(48),
            StreamConvTranspose1d(NormConvTranspose1d(48, 32, 6, 3), 3, 6),
            ResidualUnit(32, 1, snake=True),
            Snake(32),
            StreamConvTranspose1d(NormConvTranspose1d(32, 24, 4, 2), 2, 4),
            ResidualUnit(24, 3, snake=True),
            Snake(24),
            StreamConv1d(24, 1, 7),
            nn.Tanh(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, 32, length] -> [batch, 1, 12 * length]."""
        return self.model(self.upsample(x))


class Codec(nn.Module):
    """Audio to audio, with the loudness of each frame taken off and put back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.quantizer = ResidualQuantizer(32, 16, 24, 3)
        self.decoder = Decoder()

    def reset(self) -> None:
        """Forget everything that was carried from frame to frame."""
        for module in self.modules():
            if module is not self and hasattr(module, "reset"):
                module.reset()

    def forward(self, pcm: torch.Tensor) -> torch.Tensor:
        """int16[batch, 1, samples] -> float32[batch, 1, samples]."""
        audio = pcm.float() / 32768.0
        volume = audio.pow(2).mean(dim=-1, keepdim=True)
        scale = torch.sqrt(volume + 1e-8)
        latent = self.encoder(audio / scale)
        return self.decoder(self.quantizer(latent)) * scale


SCALES: Mapping[str, tuple[float, float]] = {
    "weight_g": (1.1, 0.25),
    "alpha": (0.2, 0.3),
    "beta": (0.2, 0.3),
    "gamma": (0.6, 0.3),
    "cluster_usage": (4.5, 1.2),
    "embedding_sum": (0.0, 3.0),
}


def _value(name: str, shape: torch.Size, draw: torch.Generator) -> torch.Tensor:
    """Weights of the scale that trained ones have, none of them neutral."""
    noise = torch.randn(shape, generator=draw)
    leaf = name.rsplit(".", 1)[-1]
    if leaf in SCALES:
        mean, spread = SCALES[leaf]
        return mean + spread * noise
    if leaf.startswith("bias"):
        return 0.12 * noise
    if len(shape) == 1:
        return 1.0 + 0.25 * noise
    if name == "decoder.upsample.convtr.weight":
        return 0.6 * noise
    return noise / math.prod(shape[1:]) ** 0.5


class Program:
    """The codec, run over all frames of a case."""

    name = "codec reference"

    def __init__(self, seed: int = 13) -> None:
        with torch.random.fork_rng():
            self.codec = Codec().eval()
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, tensor in self.codec.state_dict().items():
                tensor.copy_(_value(name, tensor.shape, draw))
        self.modules: Mapping[str, nn.Module] = {"codec": self.codec}

    def run(self, case: Case) -> dict[str, torch.Tensor]:
        """Code `pcm`, int16[batch, 1, samples], in frames of `frame` samples."""
        self.codec.reset()
        pcm = torch.from_numpy(case.arrays["pcm"])
        frames = []
        with torch.no_grad():
            for frame in pcm.split(int(case.inputs["frame"]), dim=-1):
                parity.next_step()
                frames.append(self.codec(frame))
        return {"audio": torch.cat(frames, dim=-1)}
